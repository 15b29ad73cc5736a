public import CordwoodBase
import CordwoodIO
import CordwoodLog
public import CordwoodRaft

/// What a verification found.
public struct VerifyReport: Hashable, Sendable {
    /// Damage, or a difference to another member.
    public struct Problem: Hashable, Sendable {
        /// `nil` when it is of the segmented log.
        public var partition: PartitionID?
        public var damage: Damage
    }

    public var checkedBytes: UInt64 = 0
    public var checkedPartitions = 0
    /// Places at which another member's chain was compared and found equal.
    public var equalPlaces = 0
    public var problems: [Problem] = []
    /// Why it could not be brought to its end.
    public var failure: String?

    public init() {}
}

/// Verification: every byte that is relied on is read again, and chains are compared with another member's.
extension Node {
    /// Reads the partition logs, or one of them, and, if all are meant, the segmented log; each record is verified and
    /// the chains through all of them. With `member`, chains are compared with its own: equal values at an index mean
    /// equal histories up to there. What is damaged is mended in the background.
    public func verify(
        _ partition: PartitionID? = nil, against member: ReplicaID? = nil,
        while isWanted: @escaping () -> Bool = { true }
    ) async -> VerifyReport {
        var report = VerifyReport()
        let lines = partitionLogs.lines.filter { partition == nil || $0.partition == partition }
        do throws(LogError) {
            for line in lines where isWanted() && !isClosing { try await verify(line.partition, &report) }
            if partition == nil, isWanted(), !isClosing {
                let (checkedBytes, damages) = try await store.verify()
                report.checkedBytes += checkedBytes
                for damage in damages {
                    report.problems.append(.init(partition: nil, damage: damage))
                    foundLogDamage(damage)
                }
            }
        } catch { report.failure = "\(error)" }
        if let member {
            do throws(RepairError) {
                try await compare(lines.map(\.partition), withLog: partition == nil, with: member, &report)
            } catch { report.failure = "\(error)" }
        }
        return report
    }

    private func verify(_ partition: PartitionID, _ report: inout VerifyReport) async throws(LogError) {
        let log = partitionLogs.store(of: partition)
        do throws(LogError) {
            let damages = try await log.verify()
            report.checkedBytes += log.byteCount
            report.checkedPartitions += 1
            report.problems += damages.map { .init(partition: partition, damage: $0) }
        } catch {
            guard case .corrupt(let damage) = error else { throw error }
            report.problems.append(.init(partition: partition, damage: damage))
        }
    }

    // MARK: Comparing

    private func compare(
        _ partitions: [PartitionID], withLog: Bool, with member: ReplicaID, _ report: inout VerifyReport
    ) async throws(RepairError) {
        for partition in partitions {
            let log = partitionLogs.store(of: partition)
            guard let last = log.persistedLine?.persisted,
                let theirs = try await line(partition, at: last, of: member)
            else { continue }
            let own = try await RepairError.lifting { () throws(LogError) in try await log.line(at: theirs.persisted) }
            guard let own else { continue }
            if own == theirs {
                report.equalPlaces += 1
            } else {
                report.problems.append(
                    difference(
                        partition, member,
                        "record \(own.persisted) has chain \(own.chain) here and \(theirs.chain) there"))
            }
        }
        if withLog { try await compareLog(with: member, &report) }
    }

    /// The other member's line at an index, or at its last one if that is lower.
    private func line(
        _ partition: PartitionID, at index: PartitionLogIndex, of member: ReplicaID
    ) async throws(RepairError) -> SystemCheckpoint.Line? {
        try await ask(member, .line(partition, at: index), "record \(index) of partition \(partition)") {
            (reader) throws(DecodeError) in
            SystemCheckpoint.Line(
                partition: partition, persisted: try reader.ordinal(), raftIndex: try reader.ordinal(),
                chain: try reader.chainValue())
        }
    }

    private func compareLog(with member: ReplicaID, _ report: inout VerifyReport) async throws(RepairError) {
        let index = min(core.commitIndex, store.durableIndex)
        guard index >= store.startIndex,
            let theirs = try await ask(
                member, .chain(at: index), "entry \(index)",
                { (reader) throws(DecodeError) in try reader.chainValue() })
        else { return }
        let own = try await RepairError.lifting { () throws(LogError) in try await store.entry(at: index).chain }
        if own == theirs {
            report.equalPlaces += 1
        } else {
            report.problems.append(
                difference(nil, member, "entry \(index) has chain \(own) here and \(theirs) there"))
        }
    }

    private func difference(_ partition: PartitionID?, _ member: ReplicaID, _ text: String) -> VerifyReport.Problem {
        VerifyReport.Problem(
            partition: partition,
            damage: Damage(
                .missing, file: configuration.directory, offsets: 0..<0,
                detail: "differs from replica \(member): \(text)")
        )
    }

    /// What a member has at a place, as `read` makes it of its answer; `nil` when it has nothing there.
    private func ask<Value>(
        _ member: ReplicaID, _ request: RepairRequest, _ place: String,
        _ read: (inout ByteReader) throws(DecodeError) -> Value
    ) async throws(RepairError) -> Value? {
        guard let peers else { throw .incomparable(member, place: place, reason: "this node has no peers") }
        let answer: [UInt8]
        do throws(PeerError) {
            answer = try await peers.call(
                member, .repair, request.encoded(), timeoutNanoseconds: Node.repairCallNanoseconds)
        } catch { throw .incomparable(member, place: place, reason: "\(error)") }
        let reason: String
        do throws(DecodeError) {
            switch try PieceAnswer(decoding: answer) {
            case .data(let bytes): return try bytes.decoded(read)
            case .gone, .notYet, .noted: return nil
            case .failed(let text): reason = text
            }
        } catch { reason = "its answer cannot be read: \(error)" }
        throw .incomparable(member, place: place, reason: reason)
    }
}
