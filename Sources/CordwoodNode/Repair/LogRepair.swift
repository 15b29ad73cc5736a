import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Makes the damaged segmented log of a member whole, before the member is opened.
///
/// The log is made anew beside the damaged one: from the entries that are intact here and those that others give, each
/// verified by the entry chain, up to the last one that this member had. Until the new log is in its place the member
/// takes no part in consensus. So it cannot vote or lead by a log that lacks something, and its leader, which counts
/// on what it has acknowledged, never hears of less. It gives what it has to others that do the same meanwhile:
/// members that are damaged in different places mend each other.
///
/// | lacking | comes from |
/// |---|---|
/// | entries that others still have in their logs | any of them |
/// | entries that all others have purged | a manifest of one of them, and what the partitions lack of it: an installation |
/// | perhaps entries behind the last one that can be read | the member whose log is furthest, once all voters were asked |
/// | perhaps a vote | nowhere: this member votes in no term that any voter knows |
///
/// The last two wait for every voter. What was acknowledged here is in the log of the leader that counted it, and a
/// term in which this member may have voted is known to the candidate that asked for it.
final class LogRepair {
    private let configuration: NodeConfiguration
    private let damage: Damage
    private let salvage: LogSalvage
    /// The group as the log says, or, where no checkpoint can be read, as its founders were told; a manifest says it
    /// better then.
    private var membership: Membership
    private var isProvisional: Bool
    private let replacement: LogReplacement
    private let log: any LogSink
    private let seams: Seams
    /// Once the log is being mended.
    private var waitingRoom: PeerTransport?
    /// A member has refused this one as removed: nobody will give it anything.
    private var isRemoved = false
    private(set) var statistics = Statistics()

    /// What the new log was made of, by the attempt that succeeded.
    struct Statistics: Hashable {
        /// Entries that were intact here.
        var salvagedEntries: UInt64 = 0
        /// Entries that came from others.
        var fetchedEntries: UInt64 = 0
    }

    private static let callNanoseconds: UInt64 = 10_000_000_000
    private static let pauseNanoseconds: UInt64 = 500_000_000
    private static let runBytes = 1 << 20

    /// Why an attempt has ended.
    private enum Setback: Error {
        case log(LogError)
        /// Nobody has these entries any more.
        case purged(RaftIndex)
        /// What came over does not end in what this log had.
        case diverged
        case unreachable(String)
    }

    /// What the new log is made of.
    private enum Plan {
        /// Everything from where the log started, own entries up to an index, others' behind it.
        case entries(ownThrough: RaftIndex)
        /// A snapshot of another replica, and the entries behind it.
        case snapshot
    }

    private init(
        _ configuration: NodeConfiguration, _ damage: Damage, _ salvage: LogSalvage, _ membership: Membership,
        _ log: any LogSink, _ seams: Seams
    ) {
        self.configuration = configuration
        self.damage = damage
        self.salvage = salvage
        self.membership = membership
        isProvisional = salvage.checkpoint == nil
        self.log = log
        self.seams = seams
        replacement = Self.replacement(configuration, seams)
    }

    private static func replacement(_ configuration: NodeConfiguration, _ seams: Seams) -> LogReplacement {
        LogReplacement(
            log: configuration.directory + "/" + Node.Directory.log,
            repair: configuration.directory + "/" + Node.Directory.repair, seams: seams)
    }

    /// Finishes the exchange of a log that was cut short.
    static func finish(_ configuration: NodeConfiguration, _ seams: Seams) async throws(NodeError) {
        do throws(LogError) { try await replacement(configuration, seams).finish() } catch { throw .log(error) }
    }

    /// Finds out whose log it is and whom to ask. `nil` when that cannot be told, or when there is nobody to ask: the
    /// log is refused then.
    static func prepare(
        _ configuration: NodeConfiguration, _ damage: Damage, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) -> LogRepair? {
        guard configuration.peerAddress != nil, !configuration.log.opensDamagedReadOnly else { return nil }
        do throws(LogError) {
            guard
                let salvage = try await LogSalvage.read(
                    configuration.directory + "/" + Node.Directory.log, files: seams.files),
                let membership = group(configuration, salvage),
                membership.members.contains(where: { $0.replica != salvage.identity.replica })
            else { return nil }
            return LogRepair(configuration, damage, salvage, membership, log, seams)
        } catch { throw .log(error) }
    }

    private static func group(_ configuration: NodeConfiguration, _ salvage: LogSalvage) -> Membership? {
        if let checkpoint = salvage.checkpoint { return try? Membership(decoding: checkpoint.value.configuration) }
        guard case .founding(let founders) = configuration.group else { return nil }
        return Admission(
            founding: founders, nodes: [:], partitionCount: configuration.newPartitionCount, as: configuration.name
        ).membership
    }

    // MARK: Running

    /// Returns once a whole log is in place.
    func run() async throws(NodeError) {
        log.write(
            LogEvent(
                .error, "log", "the log is damaged; it is mended before anything else",
                fields: [
                    .init("damage", "\(damage)"), .init("last", "\(salvage.last.index)"),
                    .init("tail", salvage.isTailCertain ? "certain" : "uncertain"),
                    .init("vote", salvage.isVoteCertain ? "certain" : "uncertain"),
                ]))
        let peers = try await WaitingRoom.open(
            configuration, salvage.identity, membership, log, seams,
            services: [.repair: { [unowned self] _, body in .success(await serve(body).encoded()) }],
            onRemoval: { [unowned self] in isRemoved = true })
        waitingRoom = peers
        while isProvisional, !isRemoved {
            await learnGroup()
            if isProvisional { await seams.clock.sleep(nanoseconds: Self.pauseNanoseconds) }
        }
        let isWhole = await mend()
        waitingRoom = nil
        await peers.close()
        if !isWhole { throw .removed(salvage.identity.replica) }
    }

    /// Asks whoever was there at the founding who is there now.
    private func learnGroup() async {
        for peer in others {
            guard case .data(let bytes) = try? await ask(peer, .manifest),
                let manifest = try? SnapshotManifest(decoding: bytes)
            else { continue }
            membership = manifest.membership
            isProvisional = false
            waitingRoom?.updateMembers(WaitingRoom.addresses(of: membership))
            return
        }
    }

    /// False when there is nobody who would help any more.
    private func mend() async -> Bool {
        var plan = Plan.entries(ownThrough: salvage.last.index)
        while !isRemoved {
            do throws(Setback) {
                try await attempt(plan)
                log.write(
                    LogEvent(
                        .info, "log", "the log is whole again",
                        fields: [
                            .init("salvaged", "\(statistics.salvagedEntries)"),
                            .init("fetched", "\(statistics.fetchedEntries)"),
                        ]))
                return true
            } catch {
                switch (error, plan) {
                case (.diverged, .entries(let own)) where own > salvage.commitHint:
                    plan = .entries(ownThrough: max(salvage.commitHint, salvage.boundary.index))
                case (.diverged, .entries), (.purged, .entries): plan = .snapshot
                case (.diverged, .snapshot), (.purged, .snapshot), (.log, _), (.unreachable, _):
                    plan = .entries(ownThrough: salvage.last.index)
                }
                log.write(LogEvent(.warn, "log", "the log is not mended yet", fields: [.init("reason", "\(error)")]))
            }
            if !isRemoved { await seams.clock.sleep(nanoseconds: Self.pauseNanoseconds) }
        }
        return false
    }

    private var others: [ReplicaID] {
        membership.members.map(\.replica).filter { $0 != salvage.identity.replica }
    }

    private func attempt(_ plan: Plan) async throws(Setback) {
        statistics = Statistics()
        // What the end of the log must come to, and the vote.
        var target = salvage.last.index
        var vote = salvage.vote
        var lastTerm = salvage.last.term
        var sources = others
        if !salvage.isTailCertain || !salvage.isVoteCertain {
            // Voters may have come since the checkpoint.
            await learnGroup()
            let states = try await voterStates()
            if let furthest = states.max(by: { ($0.1.last.term, $0.1.last.index) < ($1.1.last.term, $1.1.last.index) }),
                !salvage.isTailCertain
            {
                target = max(target, furthest.1.last.index)
                sources = [furthest.0] + others.filter { $0 != furthest.0 }
            }
            lastTerm = max(lastTerm, states.map(\.1.last.term).max() ?? 0)
            let term = max(lastTerm, states.map(\.1.term).max() ?? 0)
            if !salvage.isVoteCertain, term >= vote.term {
                // Whoever may have been given a vote that was lost knows its term; this vote keeps it from another one.
                vote = Vote(term: term, candidate: salvage.identity.replica)
            }
        }
        var manifest: SnapshotManifest?
        var start = salvage.boundary
        switch plan {
        case .entries:
            guard let checkpoint = salvage.checkpoint, checkpoint.behind >= start.index, salvage.installation == nil
            else { throw .purged(start.index) }
        case .snapshot:
            let found = try await fetchSnapshot(sources)
            lastTerm = max(lastTerm, found.boundary.term)
            (manifest, start) = (found, .zero)
        }
        let rebuilt = try await begin(vote.raised(to: lastTerm), behind: start)
        do throws(Setback) {
            try await write(plan, manifest, into: rebuilt, through: target, sources)
        } catch {
            // What it holds is made again: whether it could be closed says nothing.
            try? await rebuilt.close()
            throw error
        }
        do throws(LogError) {
            try await rebuilt.close()
            try await replacement.commit()
        } catch { throw .log(error) }
    }

    private func write(
        _ plan: Plan, _ manifest: SnapshotManifest?, into rebuilt: SegmentedLogStore, through target: RaftIndex,
        _ sources: [ReplicaID]
    ) async throws(Setback) {
        if let manifest {
            do throws(LogError) {
                try await rebuilt.recordInstallation(manifest.boundary, manifest: manifest.encoded())
            } catch { throw .log(error) }
        }
        switch plan {
        case .entries(let own):
            let checkpoint = salvage.checkpoint.map { ($0.value, min($0.behind, target)) }
            try await fill(rebuilt, through: target, ownThrough: own, sources, checkpoint: checkpoint)
        case .snapshot: try await fill(rebuilt, through: target, ownThrough: target, sources, checkpoint: nil)
        }
        // What was acknowledged here must be there; only a snapshot, all of which is committed, may say otherwise.
        let isCovered = manifest.map { $0.boundary.index >= salvage.last.index } ?? false
        if salvage.isTailCertain, !isCovered, rebuilt.recentChain(at: salvage.last.index) != salvage.last.chain {
            throw .diverged
        }
    }

    private func begin(_ vote: Vote, behind boundary: LogBoundary) async throws(Setback) -> SegmentedLogStore {
        do throws(LogError) {
            return try await replacement.begin(
                salvage.identity, vote: vote, boundary: boundary, commitHint: boundary.index,
                epoch: salvage.epoch.next, gates: salvage.gates, options: configuration.storeOptions)
        } catch { throw .log(error) }
    }

    /// Every voter's state: of those that cannot be asked nothing is known, and so this waits for them.
    private func voterStates() async throws(Setback) -> [(ReplicaID, ReplicaState)] {
        var states: [(ReplicaID, ReplicaState)] = []
        let voters = Set(membership.configuration.voters + membership.configuration.outgoing)
        for voter in voters.sorted() where voter != salvage.identity.replica {
            guard case .data(let bytes) = try await ask(voter, .state), let state = try? ReplicaState(decoding: bytes)
            else { throw .unreachable("voter \(voter) does not say how far it is") }
            states.append((voter, state))
        }
        return states
    }

    // MARK: Entries

    private func fill(
        _ store: SegmentedLogStore, through target: RaftIndex, ownThrough: RaftIndex, _ sources: [ReplicaID],
        checkpoint: (value: SystemCheckpoint, behind: RaftIndex)?
    ) async throws(Setback) {
        var checkpoint = checkpoint
        while true {
            let last = store.nextIndex.previous
            if let due = checkpoint, last >= due.behind {
                do throws(LogError) { try await store.writeSystemCheckpoint(due.value) } catch { throw .log(error) }
                checkpoint = nil
            }
            guard last < target else { break }
            let position = LogBoundary(
                index: last, term: store.lastEntry?.term ?? 0, chain: store.recentChain(at: last) ?? .zero)
            let limit = min(target, checkpoint?.behind ?? target)
            var entries: [Entry] = []
            if last < ownThrough {
                do throws(LogError) {
                    entries = try await salvage.entries(
                        after: position, through: min(limit, ownThrough), maxBytes: Self.runBytes)
                } catch { throw .log(error) }
                statistics.salvagedEntries += UInt64(entries.count)
            }
            if entries.isEmpty {
                entries = try await fetch(after: position, through: limit, from: sources)
                statistics.fetchedEntries += UInt64(entries.count)
            }
            do throws(LogError) {
                _ = try store.append(entries)
                store.updateCommit(salvage.commitHint)
                try await store.flush()
            } catch { throw .log(error) }
        }
    }

    private func fetch(
        after position: LogBoundary, through limit: RaftIndex, from sources: [ReplicaID]
    ) async throws(Setback) -> [Entry] {
        var isCertain = true
        var reason = "nobody to ask"
        for peer in sources {
            do throws(Setback) {
                switch try await ask(peer, .entries(after: position, through: limit, maxBytes: Self.runBytes)) {
                case .data(let bytes):
                    if let entries = try? LogRun.decode(bytes, after: position) { return entries }
                    isCertain = false
                    reason = "what replica \(peer) gives does not verify"
                case .gone: break
                case .notYet, .failed, .noted:
                    isCertain = false
                    reason = "replica \(peer) does not have entry \(position.index.next)"
                }
            } catch {
                isCertain = false
                reason = "\(error)"
            }
        }
        throw isCertain ? .purged(position.index.next) : .unreachable(reason)
    }

    private func ask(_ peer: ReplicaID, _ request: RepairRequest) async throws(Setback) -> PieceAnswer {
        guard let peers = waitingRoom else { throw .unreachable("no peers") }
        let answer: [UInt8]
        do throws(PeerError) {
            answer = try await peers.call(
                peer, .repair, request.encoded(), lane: .bulk, timeoutNanoseconds: Self.callNanoseconds)
        } catch { throw .unreachable("replica \(peer): \(error)") }
        do throws(DecodeError) { return try PieceAnswer(decoding: answer) } catch {
            throw .unreachable("replica \(peer): \(error)")
        }
    }

    // MARK: A snapshot instead

    /// Stages what the partitions lack of what another replica has. The manifest says what it comes to.
    private func fetchSnapshot(_ sources: [ReplicaID]) async throws(Setback) -> SnapshotManifest {
        for peer in sources {
            guard case .data(let bytes) = try? await ask(peer, .manifest),
                let manifest = try? SnapshotManifest(decoding: bytes), manifest.position.index > salvage.boundary.index
            else { continue }
            do throws(CatchUpError) {
                try await stage(manifest, [peer] + sources.filter { $0 != peer })
                return manifest
            } catch { throw .unreachable("the snapshot of replica \(peer): \(error)") }
        }
        throw .unreachable("no replica offers a snapshot")
    }

    private func stage(_ manifest: SnapshotManifest, _ sources: [ReplicaID]) async throws(CatchUpError) {
        let directory = configuration.directory + "/"
        let logs = Node.partitionLogConfiguration(configuration, salvage.identity)
        let live = PartitionLogPool(
            configuration: logs, seams: seams, partitionCount: manifest.membership.partitionCount,
            registry: salvage.checkpoint?.value.partitions ?? [])
        live.log = log
        let staging = StagingArea(
            directory: directory + Node.Directory.staging, configuration: logs,
            partitionCount: manifest.membership.partitionCount, log: log, seams: seams)
        let fetch = SnapshotFetch(
            live: live, snapshots: SnapshotStore(directory: directory + Node.Directory.snapshots, seams: seams),
            staging: staging, configuration: configuration.catchUp, seams: seams,
            // Partition files hold committed records only, but under the gate 'partition'.
            committed: { [configuration] in
                configuration.log.ackGate == .segmented ? live.store(of: $0).persistedIndex : 0
            },
            call: { [waitingRoom] peer, body in
                guard let waitingRoom else { throw PeerError.closed }
                return try await waitingRoom.call(
                    peer, .piece, body, lane: .bulk, timeoutNanoseconds: Self.callNanoseconds)
            })
        do throws(CatchUpError) {
            try await fetch.run(manifest, from: sources)
        } catch {
            await live.abandon()
            await staging.close()
            throw error
        }
        await live.abandon()
        await staging.close()
    }

    // MARK: Giving

    /// Others may be mending their logs as well: what is intact here is given to them.
    private func serve(_ body: [UInt8]) async -> PieceAnswer {
        let request: RepairRequest
        do throws(DecodeError) { request = try RepairRequest(decoding: body) } catch { return .failed("\(error)") }
        switch request {
        case .entries(let position, let through, let maxBytes):
            do throws(LogError) {
                let entries = try await salvage.entries(
                    after: position, through: through, maxBytes: min(maxBytes, Self.runBytes))
                if position.index >= salvage.last.index { return .notYet }
                guard !entries.isEmpty else { return .failed("entry \(position.index.next) is damaged here, too") }
                return LogRun.encode(entries, after: position).map { .data($0) } ?? .gone
            } catch { return .failed("\(error)") }
        case .state:
            // A vote that was lost here may have been for this replica itself, but what it stood for ended with its
            // process: whoever gave it a vote then need not know the term. What it led by is in its log, to the end.
            guard salvage.isTailCertain else { return .notYet }
            let last = LogPosition(index: salvage.last.index, term: salvage.last.term)
            let term = max(salvage.vote.term, last.term)
            return .data(ReplicaState(term: term, last: last, commit: salvage.commitHint).encoded())
        case .records, .manifest, .line, .chain: return .notYet
        }
    }
}

extension Vote {
    /// A log never holds entries of a later term than its vote's.
    fileprivate func raised(to term: Term) -> Vote { self.term < term ? Vote(term: term, candidate: .none) : self }
}
