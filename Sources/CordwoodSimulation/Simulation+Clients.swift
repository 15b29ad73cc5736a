import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Clients: each does one thing after another, through whichever node it happens to know.
extension Simulation {
    private static let operationNanoseconds: UInt64 = 6_000_000_000
    private static let retryPauseNanoseconds: UInt64 = 30_000_000

    func beginClient(_ number: Int, until end: UInt64) {
        let choices = VirtualRandom(seed: seed, concern: "client \(number)")
        operationsUnderWay += 1
        world.scheduler.spawn("client \(number)") { [self] in
            while world.clock.monotonicNanoseconds < end, judge.violation == nil {
                let node = anyNode(choices)
                let stream = workload.stream(choices)
                if workload.isRead(choices) {
                    await read(
                        stream, through: node, events: choices.next(below: 6),
                        isLinearizable: !choices.chance(1, in: 5))
                } else {
                    let known = UInt64(stored.streams[stream]?.count ?? 0)
                    let command = workload.command(nextSerial, stream, known: known, choices)
                    nextSerial = command.serials.upperBound
                    _ = await write(
                        command, through: node, attempts: workload.isRetried(choices) ? 4 : 1, choices)
                }
                await sleep(choices.next(in: 1_000_000...workload.pauseNanoseconds))
            }
            operationsUnderWay -= 1
        }
    }

    /// Mostly a member; now and then one that was removed.
    private func anyNode(_ choices: VirtualRandom) -> SimulatedNode {
        let asked = nodes.filter { $0.standing == .member || $0.standing == .removed && choices.chance(1, in: 8) }
        return asked[Int(choices.next(below: UInt64(asked.count)))]
    }

    // MARK: Writing

    /// How one attempt ended.
    private enum Attempt {
        /// It is answered for good, whatever other attempts may come to.
        case ended(isDone: Bool)
        /// It was not executed and never will be.
        case denied(String)
        case unknown
    }

    /// Sends a command until it knows what came of it, or has no attempts left; true when it was executed.
    func write(
        _ command: WriteCommand, through node: SimulatedNode, attempts: Int, _ choices: VirtualRandom? = nil
    ) async -> Bool {
        let calls = [
            histories.begin(.partition(command.stream.partition)), histories.begin(.stream(command.stream)),
        ]
        let bytes = command.encoded()
        var isOpen = false
        var reason = ""
        var node = node
        attempts: for number in 0..<attempts {
            if number > 0, let choices {
                await sleep(Self.retryPauseNanoseconds)
                node = anyNode(choices)
            }
            switch await attempt(command, bytes, through: node, calls, isOpen: isOpen) {
            case .ended(isDone: true): return true
            case .ended(isDone: false):
                reason = "refused by its stream"
                break attempts
            case .denied(let text): reason = text
            case .unknown: isOpen = true
            }
        }
        if isOpen {
            acknowledgements.leaveOpen(command.serials)
            openWrites.append((command.serials, calls))
        } else {
            acknowledgements.deny(command.serials, reason)
        }
        return false
    }

    private func attempt(
        _ command: WriteCommand, _ bytes: [UInt8], through node: SimulatedNode,
        _ calls: [LinearizabilityChecker.Call], isOpen: Bool
    ) async -> Attempt {
        let partition = command.stream.partition
        let ended = await node.ask("write", withinNanoseconds: Self.operationNanoseconds) {
            node -> Result<ProposalOutcome, ProposalRejection> in
            do throws(ProposalRejection) { return .success(try await node.propose(bytes, to: partition)) } catch {
                return .failure(error)
            }
        }
        let outcome: ProposalOutcome
        switch ended {
        case nil: outcome = .unknown(.timedOut)
        case .failure(let rejection)?: outcome = .rejected(rejection)
        case .success(let ended)?: outcome = ended
        }
        switch outcome {
        case .rejected(let rejection): return .denied("\(rejection)")
        case .aborted:
            markers.reach(.abortedProposal)
            return .denied("aborted")
        case .unknown:
            markers.reach(.unknownOutcome)
            return .unknown
        case .appliedByLeader(_, _, let result):
            markers.reach(.forwardedWrite)
            return answered(command, result, calls)
        case .applied(_, let result): return answered(command, result, calls)
        default:
            judge.report("a write is answered when it is applied", "serial \(command.serial) ended as \(outcome)")
            return .unknown
        }
    }

    private func answered(
        _ command: WriteCommand, _ result: ApplyOutcome, _ calls: [LinearizabilityChecker.Call]
    ) -> Attempt {
        let what = "write \(command.serial)"
        switch try? AppendAnswer(decoding: result.answer) {
        case .appended(let events)?:
            guard let first = events.first, events.count == command.serials.count else { break }
            acknowledgements.acknowledge(command.serials, sequence: first.sequence, version: first.version)
            histories.append(calls[0], before: first.sequence, what)
            histories.append(calls[1], before: first.version, what)
            return .ended(isDone: true)
        case .duplicate(let earlier)?:
            markers.reach(.recognisedRepeat)
            acknowledgements.acknowledge(command.serials, sequence: earlier.firstSequence, version: nil)
            histories.append(calls[0], before: earlier.firstSequence, what)
            if let place = stored.places[command.serial] { histories.append(calls[1], before: place.version, what) }
            return .ended(isDone: true)
        case .refused(.wrongVersion(event: 0, let current))?:
            markers.reach(.refusedCommand)
            histories.observe(calls[1], current.map { $0 + 1 } ?? 0, what)
            return .ended(isDone: false)
        default: break
        }
        judge.report("commands are answered as they deserve", "\(what), \(command), is answered \(result)")
        return .unknown
    }

    // MARK: Reading

    /// What a stream and its partition show; a linearizable read shows all that was acknowledged before it.
    func read(
        _ stream: SimulatedStream, through node: SimulatedNode, events: UInt64, isLinearizable: Bool
    ) async {
        let calls = [histories.begin(.partition(stream.partition)), histories.begin(.stream(stream))]
        let found = await node.ask("read", withinNanoseconds: Self.operationNanoseconds) {
            node -> SimulatedMachine.View? in
            if isLinearizable {
                do throws(ProposalRejection) {
                    let index = try await node.readIndex()
                    let result = await node.barrier(
                        through: index, partitions: [stream.partition], timeoutNanoseconds: 2_000_000_000)
                    guard result == .applied else { return nil }
                } catch { return nil }
            } else if node.readiness != .ready {
                return nil
            }
            return await (node.machine(of: stream.partition) as? SimulatedMachine)?.view(of: stream, events: events)
        }
        guard case .some(.some(let view)) = found else { return }
        readCount += 1
        let what = "a read on \(node.life)"
        if let damaged = view.damaged {
            judge.report("events are read as they were written", "\(what): serial \(damaged) is damaged")
        }
        let known = stored.streams[stream] ?? []
        let shown = known.dropFirst(Int(view.first)).prefix(view.serials.count)
        judge.require(
            view.streamCount <= UInt64(known.count) && Array(shown) == view.serials,
            "reads show what is stored", "\(what) of \(stream) from \(view.first) shows \(view.serials), not \(shown)")
        if isLinearizable {
            histories.observe(calls[0], view.partitionCount, what)
            histories.observe(calls[1], view.streamCount, what)
        } else {
            recoveries.shows(node.directory, node.life, stream.partition, view.partitionCount)
        }
    }

    // MARK: Watching

    /// Looks at every node now and then.
    func beginWatching(until end: UInt64) {
        operationsUnderWay += 1
        world.scheduler.spawn("watch") { [self] in
            while world.clock.monotonicNanoseconds < end, judge.violation == nil {
                watch()
                await sleep(Self.watchNanoseconds)
            }
            operationsUnderWay -= 1
        }
    }

    private static let watchNanoseconds: UInt64 = 10_000_000

    private func watch() {
        // Whatever anybody holds first: then what somebody takes for committed must be among it.
        for node in nodes where node.host.isUp {
            guard let running = node.node else { continue }
            logs.holds(running.replica, through: running.durableIndex)
        }
        for node in nodes where node.host.isUp && !node.host.isPaused {
            guard let running = node.node, running.storeFailure == nil else { continue }
            let status = running.status
            let watermarks = partitionIDs.map { running.watermark(of: $0) }
            progress.look(status, watermarks: watermarks, node.life)
            configurations.look(at: status.membership, of: node.life)
            floors.look(at: running, status, node.life)
            if let chain = running.entryChain(at: status.commit) {
                logs.committed(status.commit, chain, term: status.term, on: node.life)
            }
            if status.role == .leader {
                let configuration = status.membership.configuration
                logs.leaderCommits(
                    status.commit, behind: status.membership.configurationIndex,
                    [configuration.voters, configuration.outgoing], on: node.life)
            }
            note(running, status)
        }
    }

    private func note(_ node: Node, _ status: NodeStatus) {
        if status.log.startIndex > 2 { markers.reach(.truncatedLog) }
        if status.role == .leader, nodes.contains(where: { $0.node?.isLeader == true && $0.node !== node }) {
            markers.reach(.twoLeadersOfDifferentTerms)
        }
    }
}
