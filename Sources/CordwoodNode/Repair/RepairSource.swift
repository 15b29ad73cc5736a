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
    /// What can be read of logs that are damaged, as it was found out when it was first asked for.
    private var salvages: [PartitionID: PartitionSalvage] = [:]

    private static let largestAnswerBytes = 4 << 20

    init(logs: PartitionLogPool) { self.logs = logs }

    /// The files of a partition have changed.
    func forget(_ partition: PartitionID) { salvages[partition] = nil }

    /// Answers a request of the service `repair`. Any bytes are answered.
    func serve(_ body: [UInt8]) async -> [UInt8] {
        do throws(DecodeError) { return await answer(try RepairRequest(decoding: body)).encoded() } catch {
            return PieceAnswer.failed("\(error)").encoded()
        }
    }

    private func answer(_ request: RepairRequest) async -> PieceAnswer {
        switch request {
        case .records(let partition, let point, let through, let maxBytes):
            guard partition.rawValue < UInt64(logs.partitionCount) else { return .failed("no partition \(partition)") }
            do throws(LogError) {
                return try await records(partition, point, through, min(maxBytes, Self.largestAnswerBytes))
            } catch { return .failed("\(error)") }
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
