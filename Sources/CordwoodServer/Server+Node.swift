import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodOptions

/// What several commands ask of the node.
extension Server {
    /// The events of a partition; `nil` while its machine stands still behind what it has shown.
    func eventStore(of partition: PartitionID) async -> EventStore? {
        await node.machine(of: partition) as? EventStore
    }

    /// Every partition that has been written, in order.
    var partitionStatuses: [PartitionStatus] {
        (0..<UInt64(partitionCount)).compactMap { node.partitionStatus(of: PartitionID($0)) }.filter {
            $0.nextIndex > 1
        }
    }

    /// The state of a partition, in the protocol's words.
    func stateName(of status: PartitionStatus) -> String {
        if node.damagedPartitions.contains(where: { $0.partition == status.partition }) {
            return node.isFrozen(status.partition) ? "quarantined" : "degraded"
        }
        if node.isFrozen(status.partition) { return "frozen" }
        return status.isPinned ? "throttled" : "ok"
    }

    /// Events that a reader can see here: the sum of W over the partitions.
    var visibleEventCount: UInt64 {
        (0..<UInt64(partitionCount)).reduce(0) { $0 + node.watermark(of: PartitionID($1)) }
    }

    /// The node's id for cluster clients: 40 hexadecimal digits, new with every incarnation of its disk.
    var clusterNodeID: String { clusterNodeID(node.status.node, node.replica) }

    func clusterNodeID(of member: Membership.Member) -> String {
        member.replica == node.replica ? clusterNodeID : clusterNodeID(member.node, member.replica)
    }

    private func clusterNodeID(_ node: UniqueID, _ replica: ReplicaID) -> String {
        "\(node)" + hexadecimal(replica.rawValue).suffix(8)
    }

    /// Tells a client where the leader is, which alone can do what it asks for.
    func redirection(slot: Int) -> CommandError {
        guard let leader = node.status.leader else { return CommandError(.clusterDown, "No raft leader") }
        let address = node.memberStatuses.first { $0.member.replica == leader }?.clientAddress ?? ""
        if address.isEmpty {
            return CommandError(
                .readOnly, "this node accepts no writes: where clients reach the leader is unknown")
        }
        return CommandError(.moved, "\(slot) \(address)")
    }

    func setOption(_ name: String, to value: String) throws(OptionError) {
        try options.set(name, to: value)
        onOptionChanged?(options)
    }
}
