import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Clients: each does one thing after another, through whichever node it happens to know.
extension Simulation {
    private static let operationNanoseconds: UInt64 = 6_000_000_000

    func beginClient(_ number: Int, until end: UInt64) {
        let choices = VirtualRandom(seed: seed, concern: "client \(number)")
        operationsUnderWay += 1
        world.scheduler.spawn("client \(number)") { [self] in
            while world.clock.monotonicNanoseconds < end, judge.violation == nil {
                let node = nodes[Int(choices.next(below: UInt64(nodes.count)))]
                let partition = PartitionID(choices.next(below: UInt64(options.partitions)))
                if choices.chance(1, in: 4) {
                    await read(through: node, of: partition)
                } else {
                    _ = await write(
                        through: node, to: partition,
                        padding: Int(choices.next(below: choices.chance(1, in: 8) ? 4000 : 64)))
                }
                await sleep(choices.next(in: 1_000_000...80_000_000))
            }
            operationsUnderWay -= 1
        }
    }

    /// Writes one serial; true when it was acknowledged.
    func write(through node: SimulatedNode, to partition: PartitionID, padding: Int = 16) async -> Bool {
        let serial = nextSerial
        nextSerial += 1
        let command = LedgerMachine.command(serial, padding: padding)
        let ended = await node.ask("write", withinNanoseconds: Self.operationNanoseconds) {
            node -> Result<ProposalOutcome, ProposalRejection> in
            do throws(ProposalRejection) { return .success(try await node.propose(command, to: partition)) } catch {
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
        case .rejected(let rejection): acknowledgements.deny(serial, "\(rejection)")
        case .aborted:
            markers.reach(.abortedProposal)
            acknowledgements.deny(serial, "aborted")
        case .unknown:
            markers.reach(.unknownOutcome)
            acknowledgements.leaveOpen(serial)
        case .appliedByLeader(_, _, let result):
            markers.reach(.forwardedWrite)
            return acknowledge(serial, partition, result.answer)
        case .applied(_, let result): return acknowledge(serial, partition, result.answer)
        default: judge.report("a write is answered when it is applied", "serial \(serial) ended as \(outcome)")
        }
        return false
    }

    private func acknowledge(_ serial: UInt64, _ partition: PartitionID, _ answer: [UInt8]) -> Bool {
        guard let position = LedgerMachine.count(in: answer) else {
            judge.report("answers come back whole", "\(answer) for serial \(serial)")
            return false
        }
        acknowledgements.acknowledge(serial, partition, position: position)
        reads.show(partition, position)
        return true
    }

    /// A linearizable read of how much a partition holds.
    private func read(through node: SimulatedNode, of partition: PartitionID) async {
        let least = reads.least(partition)
        let found = await node.ask("read", withinNanoseconds: Self.operationNanoseconds) { node -> UInt64? in
            do throws(ProposalRejection) {
                let index = try await node.readIndex()
                let result = await node.barrier(
                    through: index, partitions: [partition], timeoutNanoseconds: 2_000_000_000)
                guard result == .applied else { return nil }
                guard let machine = await node.machine(of: partition) as? LedgerMachine else { return nil }
                return UInt64(machine.serials.count)
            } catch { return nil }
        }
        if case .some(.some(let count)) = found { reads.read(partition, count, least: least, on: node.host.name) }
    }

    /// Looks at every node now and then.
    func beginWatching(until end: UInt64) {
        operationsUnderWay += 1
        world.scheduler.spawn("watch") { [self] in
            while world.clock.monotonicNanoseconds < end, judge.violation == nil {
                for node in nodes where node.host.isUp && !node.host.isPaused {
                    guard let running = node.node else { continue }
                    progress.look(at: running, node.life)
                    note(running)
                }
                await sleep(20_000_000)
            }
            operationsUnderWay -= 1
        }
    }

    private func note(_ node: Node) {
        let status = node.status
        if status.log.startIndex > 2 { markers.reach(.truncatedLog) }
        if status.role == .leader, nodes.contains(where: { $0.node?.isLeader == true && $0.node !== node }) {
            markers.reach(.twoLeadersOfDifferentTerms)
        }
    }
}
