import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// The side that has it: gives intact records to replicas that repair themselves. What is given has been verified when
/// it was read, so damage is never passed on; what is damaged here is asked of somebody else.
///
/// A replica that is damaged itself gives what it still has.
final class RepairSource {
    private let logs: PartitionLogPool
    private let store: SegmentedLogStore
    private let state: () -> ReplicaState
    private let offer: (ReplicaID) async throws(CatchUpError) -> SnapshotManifest
    /// What can be read of logs that are damaged, as it was found out when it was first asked for.
    private var salvages: [PartitionID: PartitionSalvage] = [:]

    private static let largestAnswerBytes = 4 << 20

    /// - Parameters:
    ///   - state: how far this replica is, as its disk has it.
    ///   - offer: makes a manifest for a replica.
    init(
        logs: PartitionLogPool, store: SegmentedLogStore, state: @escaping () -> ReplicaState,
        offer: @escaping (ReplicaID) async throws(CatchUpError) -> SnapshotManifest
    ) {
        self.logs = logs
        self.store = store
        self.state = state
        self.offer = offer
    }

    /// The files of a partition have changed.
    func forget(_ partition: PartitionID) { salvages[partition] = nil }

    /// Answers a request of the service `repair`. Any bytes are answered.
    func serve(_ body: [UInt8], from peer: ReplicaID) async -> [UInt8] {
        do throws(DecodeError) { return await answer(try RepairRequest(decoding: body), to: peer).encoded() } catch {
            return PieceAnswer.failed("\(error)").encoded()
        }
    }

    private func answer(_ request: RepairRequest, to peer: ReplicaID) async -> PieceAnswer {
        switch request {
        case .records(let partition, let point, let through, let maxBytes):
            guard partition.rawValue < UInt64(logs.partitionCount) else { return .failed("no partition \(partition)") }
            do throws(LogError) {
                return try await records(partition, point, through, min(maxBytes, Self.largestAnswerBytes))
            } catch { return .failed("\(error)") }
        case .entries(let position, let through, let maxBytes):
            return await entries(after: position, through: through, min(maxBytes, Self.largestAnswerBytes))
        case .state:
            let state = state()
            return state.term == 0 ? .notYet : .data(state.encoded())
        case .manifest:
            do throws(CatchUpError) { return .data(try await offer(peer).encoded()) } catch { return .notYet }
        case .line(let partition, let index):
            guard partition.rawValue < UInt64(logs.partitionCount) else { return .failed("no partition \(partition)") }
            let log = logs.store(of: partition)
            return await found { () throws(LogError) in
                try await log.open()
                guard let line = try await log.line(at: min(index, log.persistedIndex)) else { return nil }
                var bytes: [UInt8] = []
                bytes.append(littleEndian: line.persisted.rawValue)
                bytes.append(littleEndian: line.raftIndex.rawValue)
                bytes.append(chain: line.chain)
                return bytes
            }
        case .chain(let index):
            return await found { () throws(LogError) in
                var bytes: [UInt8] = []
                bytes.append(chain: try await store.entry(at: index).chain)
                return bytes
            }
        }
    }

    private func found(_ body: () async throws(LogError) -> [UInt8]?) async -> PieceAnswer {
        do throws(LogError) { return try await body().map { .data($0) } ?? .gone } catch {
            switch error {
            case .purged: return .gone
            case .notFound: return .notYet
            default: return .failed("\(error)")
            }
        }
    }

    /// Entries behind a position, when this log goes on from it. `.gone` when they have been purged, or when this log
    /// is of another history there.
    private func entries(after position: LogBoundary, through: RaftIndex, _ maxBytes: Int) async -> PieceAnswer {
        let end = min(through, store.durableIndex)
        guard position.index < end else { return .notYet }
        do throws(LogError) {
            let entries = try await store.entries(in: position.index.next..<end.next, maxBytes: maxBytes)
            return LogRun.encode(entries, after: position).map { .data($0) } ?? .gone
        } catch {
            if case .purged = error { return .gone }
            return .failed("\(error)")
        }
    }

    private func records(
        _ partition: PartitionID, _ point: PartitionPoint, _ through: PartitionLogIndex, _ maxBytes: Int
    ) async throws(LogError) -> PieceAnswer {
        let log = logs.store(of: partition)
        do throws(LogError) {
            let bytes = try await log.export(from: point.partitionIndex.next, through: through, maxBytes: maxBytes)
            if let run = try? PartitionExport(decoding: bytes), run.previous == point { return .data(bytes) }
        } catch {
            switch error {
            case .purged: return .gone
            case .notFound where log.openState == .open: return .notYet
            default: break
            }
        }
        let salvage: PartitionSalvage
        if let known = salvages[partition] {
            salvage = known
        } else {
            salvage = try await PartitionSalvage.read(partition, in: logs)
            salvages[partition] = salvage
        }
        if let bytes = try await salvage.run(after: point, through: through, maxBytes: maxBytes) { return .data(bytes) }
        salvages[partition] = nil
        return .gone
    }
}
