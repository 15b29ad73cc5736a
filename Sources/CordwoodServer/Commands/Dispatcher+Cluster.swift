import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP
import CordwoodRaft

/// CLUSTER: the group in the words of cluster clients. One range of slots, the leader its master.
extension Dispatcher {
    func cluster(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        let name = request[1]
        switch true {
        case name.matches("SLOTS") where request.count == 2: try slots(on: connection)
        case name.matches("SHARDS") where request.count == 2: try shards(on: connection)
        case name.matches("NODES") where request.count == 2: connection.output.verbatim(nodeLines())
        case name.matches("INFO") where request.count == 2: connection.output.verbatim(clusterInfo())
        case name.matches("MYID") where request.count == 2: connection.output.bulk(server.clusterNodeID)
        case name.matches("KEYSLOT") where request.count == 3:
            connection.output.integer(KeySlot.slot(of: request[2]))
        case name.matches("COUNTKEYSINSLOT") where request.count == 3: connection.output.integer(0)
        case name.matches("REPLICAS") where request.count == 3:
            // A group of one has no replica beside its leader.
            connection.output.array(0)
        case name.matches("HELP"):
            lines(
                [
                    "SLOTS, SHARDS, NODES, INFO: the group and its leader", "MYID: this node's id",
                    "KEYSLOT key: the slot of a key", "COUNTKEYSINSLOT slot: 0", "REPLICAS id: its followers",
                ], on: connection)
        default: throw unknownSubcommand(name, of: "CLUSTER")
        }
    }

    private func requireLeader() throws(CommandError) {
        guard server.node.status.leader != nil else { throw CommandError(.clusterDown, "No raft leader") }
    }

    private func slots(on connection: ClientConnection) throws(CommandError) {
        try requireLeader()
        connection.output.array(1)
        connection.output.array(3)
        connection.output.integer(0)
        connection.output.integer(KeySlot.count - 1)
        connection.output.array(3)
        connection.output.bulk(server.address?.host ?? "")
        connection.output.integer(Int(server.address?.port ?? 0))
        connection.output.bulk(server.clusterNodeID)
    }

    private func shards(on connection: ClientConnection) throws(CommandError) {
        try requireLeader()
        connection.output.array(1)
        connection.output.map(2)
        connection.output.bulk("slots")
        connection.output.array(2)
        connection.output.integer(0)
        connection.output.integer(KeySlot.count - 1)
        connection.output.bulk("nodes")
        connection.output.array(1)
        connection.output.map(7)
        connection.output.bulk("id")
        connection.output.bulk(server.clusterNodeID)
        connection.output.bulk("port")
        connection.output.integer(Int(server.address?.port ?? 0))
        connection.output.bulk("ip")
        connection.output.bulk(server.address?.host ?? "")
        connection.output.bulk("endpoint")
        connection.output.bulk(server.address?.host ?? "")
        connection.output.bulk("role")
        connection.output.bulk("master")
        connection.output.bulk("replication-offset")
        connection.output.integer(server.node.status.commit.rawValue)
        connection.output.bulk("health")
        connection.output.bulk("online")
    }

    private func nodeLines() -> String {
        let status = server.node.status
        let host = server.address?.host ?? ""
        let port = server.address?.port ?? 0
        let isLeader = status.role == .leader
        return "\(server.clusterNodeID) \(host):\(port)@0 myself,\(isLeader ? "master" : "slave") - 0 0 \(status.term)"
            + " connected" + (isLeader ? " 0-\(KeySlot.count - 1)" : "") + "\n"
    }

    private func clusterInfo() -> String {
        let status = server.node.status
        let isOK = status.leader != nil
        return """
            cluster_enabled:1\r
            cluster_state:\(isOK ? "ok" : "fail")\r
            cluster_slots_assigned:\(KeySlot.count)\r
            cluster_slots_ok:\(isOK ? KeySlot.count : 0)\r
            cluster_slots_pfail:0\r
            cluster_slots_fail:\(isOK ? 0 : KeySlot.count)\r
            cluster_known_nodes:\(status.membership.members.count)\r
            cluster_size:1\r
            cluster_current_epoch:\(status.term)\r
            cluster_my_epoch:\(status.term)\r

            """
    }
}
