import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// Why a repair did not come to its end.
enum RepairError: Error, Hashable, CustomStringConvertible {
    case log(LogError)
    case io(IOError)
    /// Every replica has been asked, and none has the record intact: it is lost unless one of them is mended.
    case noIntactCopy(PartitionID, PartitionLogIndex)
    /// Some replica that may have the record could not be asked.
    case unreachable(PartitionID, PartitionLogIndex, String)
    /// What came over does not end in the chain that this node knows: the replicas hold different records.
    case diverged(PartitionID, PartitionLogIndex)
    /// Another member was asked for what it has at a place, and its answer cannot be had or cannot be read. That says
    /// nothing of what it holds.
    case incomparable(ReplicaID, place: String, reason: String)
    /// Entries up to an index are in no log any more, and what others hold of the partition instead cannot be had yet.
    case behindManifest(PartitionID, RaftIndex, String)
    /// What is wrong cannot be mended by records of others.
    case notRepairable(String)
    case closing

    var description: String {
        switch self {
        case .log(let error): "\(error)"
        case .io(let error): "\(error)"
        case .noIntactCopy(let partition, let index):
            "no replica holds record \(index) of partition \(partition) intact"
        case .unreachable(let partition, let index, let reason):
            "record \(index) of partition \(partition) could not be fetched: \(reason)"
        case .diverged(let partition, let index):
            "what others hold of partition \(partition) up to record \(index) differs from what this node held"
        case .incomparable(let member, let place, let reason):
            "replica \(member) could not be compared at \(place): \(reason)"
        case .behindManifest(let partition, let index, let reason):
            "entry \(index) is in no log any more, and a manifest of partition \(partition) is waited for: \(reason)"
        case .notRepairable(let reason): reason
        case .closing: "the node closes"
        }
    }

    static func lifting<Value>(_ body: () async throws(LogError) -> Value) async throws(RepairError) -> Value {
        do throws(LogError) { return try await body() } catch { throw .log(error) }
    }
}
