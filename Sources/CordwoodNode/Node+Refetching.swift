import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Why entries that this node needs itself cannot be had.
private enum RefetchError: Error {
    case log(LogError)
    /// Those behind this index are damaged here, and purged where they are not.
    case purged(behind: RaftIndex)

    static func lifting<Value>(_ body: () async throws(LogError) -> Value) async throws(RefetchError) -> Value {
        do throws(LogError) { return try await body() } catch { throw .log(error) }
    }
}

/// What this node needs itself and cannot read of its log any more: other members have the entries in their logs, or
/// their records in the logs of the partitions.
extension Node {
    private static let refetchBytes = 1 << 20
    private static let patienceNanoseconds: UInt64 = 30_000_000_000

    /// Gives a partition's log, which is open again, what it has missed: entries of this node's log or, where that is
    /// damaged, of others'.
    ///
    /// Whoever has purged an entry holds its records in the partitions' logs. So where the entries are gone the records
    /// are taken over, up to where a manifest ends, and entries from there on.
    func retake(
        _ partition: PartitionID, _ repair: PartitionRepair, from others: [ReplicaID]
    ) async throws(RepairError) {
        var known: LogBoundary?
        while true {
            let end = known
            do {
                return try await machines.retake(
                    partition, from: max(store.startIndex, (end?.index ?? 0).next), gate: gate
                ) { try await intactEntries($0, behind: end) }
            } catch RefetchError.purged(let index) {
                known = try await takeRecords(of: partition, covering: index.next, repair, from: others)
            } catch RefetchError.log(let error) {
                throw .log(error)
            } catch { throw .log(error as? LogError ?? .unavailable("\(error)")) }
        }
    }

    // MARK: Entries

    /// Entries from an index on, at least one: those of this node's log or, where it is damaged, those of others,
    /// verified by the entry chain.
    ///
    /// - Parameter end: of what is known of the log, beside what can be read of it.
    private func intactEntries(
        _ range: Range<RaftIndex>, behind end: LogBoundary?
    ) async throws(RefetchError) -> [Entry] {
        do throws(LogError) { return try await store.entries(in: range, maxBytes: 4 << 20) } catch {
            guard case .corrupt(let damage) = error, let damaged = damage.indexes else { throw .log(error) }
            foundLogDamage(damage)
            let start = try await RefetchError.lifting { () throws(LogError) in
                try await intactPosition(before: damaged.lowerBound)
            }
            if start.index >= range.lowerBound {
                return try await RefetchError.lifting { () throws(LogError) in
                    try await store.entries(in: range.lowerBound..<start.index.next, maxBytes: 4 << 20)
                }
            }
            guard let end, end.index > start.index else { return try await refetch(range, behind: start, error) }
            return try await refetch(range, behind: end, error)
        }
    }

    /// The last entry before an index that can be read, from where on the chain can be followed.
    private func intactPosition(before index: RaftIndex) async throws(LogError) -> LogBoundary {
        var index = index
        while index.previous > store.state.boundary.index {
            do throws(LogError) {
                let entry = try await store.entry(at: index.previous)
                return LogBoundary(index: entry.index, term: entry.term, chain: entry.chain)
            } catch {
                guard case .corrupt(let damage) = error, let damaged = damage.indexes, damaged.lowerBound < index else {
                    throw error
                }
                index = damaged.lowerBound
            }
        }
        return store.state.boundary
    }

    private func refetch(
        _ range: Range<RaftIndex>, behind start: LogBoundary, _ error: LogError
    ) async throws(RefetchError) -> [Entry] {
        var position = start
        while position.index < range.upperBound.previous {
            let run = try await run(behind: position, through: range.upperBound.previous, error)
            guard let last = run.last else { break }
            if last.index >= range.lowerBound { return run.filter { $0.index >= range.lowerBound } }
            position = LogBoundary(index: last.index, term: last.term, chain: last.chain)
        }
        throw .log(error)
    }

    /// Asks one member after the other.
    private func run(
        behind position: LogBoundary, through last: RaftIndex, _ error: LogError
    ) async throws(RefetchError) -> [Entry] {
        let request = RepairRequest.entries(after: position, through: last, maxBytes: Self.refetchBytes)
        var isPurged = false
        for member in membership.members.map(\.replica) where member != replica && !isClosing {
            switch await ask(member, request) {
            case .data(let bytes): if let run = try? LogRun.decode(bytes, after: position) { return run }
            case .gone: isPurged = true
            default: break
            }
        }
        throw isPurged && !isClosing ? .purged(behind: position.index) : .log(error)
    }

    /// `nil` when there is no answer, or none that can be read.
    private func ask(_ member: ReplicaID, _ request: RepairRequest) async -> PieceAnswer? {
        guard
            let answer = try? await peers?.call(
                member, .repair, request.encoded(), lane: .bulk, timeoutNanoseconds: Self.repairCallNanoseconds)
        else { return nil }
        return try? PieceAnswer(decoding: answer)
    }

    // MARK: Records

    /// Appends to a partition's log what others hold of it, up to a manifest that covers an entry. Returns where the
    /// manifest ends: what is behind that is in logs.
    private func takeRecords(
        of partition: PartitionID, covering index: RaftIndex, _ repair: PartitionRepair, from others: [ReplicaID]
    ) async throws(RepairError) -> LogBoundary {
        if machines.isMeeting(partition) {
            // The other partitions of that entry wait for what is decided here, and only a start tells them.
            let error = LogError.unavailable("entry \(index) is in no log any more, and other partitions wait for it")
            storeFailed(error)
            throw .log(error)
        }
        note(partition) {
            $0.reason = "entry \(index) is in no log any more: what others hold of the partition is taken over"
        }
        let manifest = try await manifest(of: others, covering: index, for: partition)
        // Nothing is taken over that was not handed out here.
        let deadline = seams.clock.monotonicNanoseconds + Self.patienceNanoseconds
        while machines.dispatchedThrough < manifest.boundary.index {
            if isClosing { throw .closing }
            guard seams.clock.monotonicNanoseconds < deadline else {
                throw .behindManifest(partition, manifest.boundary.index, "this node has \(machines.dispatchedThrough)")
            }
            await seams.clock.sleep(nanoseconds: 10_000_000)
        }
        if let line = manifest.entry(of: partition)?.line {
            try await repair.extend(partition, through: line, from: others)
        }
        return manifest.boundary
    }

    private func manifest(
        of others: [ReplicaID], covering index: RaftIndex, for partition: PartitionID
    ) async throws(RepairError) -> SnapshotManifest {
        for member in others where !isClosing {
            guard case .data(let bytes) = await ask(member, .manifest),
                let manifest = try? SnapshotManifest(decoding: bytes), manifest.boundary.index >= index,
                manifest.membership.partitionCount == partitionCount
            else { continue }
            return manifest
        }
        throw isClosing ? .closing : .behindManifest(partition, index, "no member gives one")
    }
}
