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
            try replicas(of: request[2], on: connection)
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

    /// The leader first, then whoever else serves reads.
    private var serving: [MemberStatus] {
        let leader = server.node.status.leader
        let members = server.node.memberStatuses.filter { $0.role != nil || $0.member.replica == leader }
        return members.filter { $0.member.replica == leader } + members.filter { $0.member.replica != leader }
    }

    private func slots(on connection: ClientConnection) throws(CommandError) {
        try requireLeader()
        let members = serving
        connection.output.array(1)
        connection.output.array(2 + members.count)
        connection.output.integer(0)
        connection.output.integer(KeySlot.count - 1)
        for member in members {
            let (host, port) = member.clientEndpoint
            connection.output.array(3)
            connection.output.bulk(host)
            connection.output.integer(port)
            connection.output.bulk(server.clusterNodeID(of: member.member))
        }
    }

    private func shards(on connection: ClientConnection) throws(CommandError) {
        try requireLeader()
        let status = server.node.status
        let members = serving
        connection.output.array(1)
        connection.output.map(2)
        connection.output.bulk("slots")
        connection.output.array(2)
        connection.output.integer(0)
        connection.output.integer(KeySlot.count - 1)
        connection.output.bulk("nodes")
        connection.output.array(members.count)
        for member in members {
            let (host, port) = member.clientEndpoint
            connection.output.map(7)
            connection.output.bulk("id")
            connection.output.bulk(server.clusterNodeID(of: member.member))
            connection.output.bulk("port")
            connection.output.integer(port)
            connection.output.bulk("ip")
            connection.output.bulk(host)
            connection.output.bulk("endpoint")
            connection.output.bulk(host)
            connection.output.bulk("role")
            connection.output.bulk(member.member.replica == status.leader ? "master" : "replica")
            connection.output.bulk("replication-offset")
            connection.output.integer(min(member.match ?? 0, status.commit).rawValue)
            connection.output.bulk("health")
            connection.output.bulk(member.role == nil ? "fail" : "online")
        }
    }

    private func replicas(of id: UnsafeRawBufferPointer, on connection: ClientConnection) throws(CommandError) {
        let members = server.node.memberStatuses
        guard let asked = members.first(where: { server.clusterNodeID(of: $0.member) == id.text.lowercased() }) else {
            throw CommandError(.generic, "Unknown node \(shown(id))")
        }
        let leader = server.node.status.leader
        guard asked.member.replica == leader else {
            throw CommandError(.generic, "The specified node is not a master")
        }
        let replicas = members.filter { $0.member.replica != leader }
        connection.output.array(replicas.count)
        for replica in replicas { connection.output.bulk(nodeLine(replica)) }
    }

    private func nodeLines() -> String { server.node.memberStatuses.map { nodeLine($0) + "\n" }.joined() }

    private func nodeLine(_ status: MemberStatus) -> String {
        let node = server.node.status
        let isLeader = status.member.replica == node.leader
        let isOwn = status.member.replica == node.replica
        let (host, port) = status.clientEndpoint
        let peerPort = status.member.address.split(separator: ":").last ?? "0"
        var flags = isOwn ? ["myself"] : []
        flags.append(isLeader ? "master" : "slave")
        if status.role == nil { flags.append("fail?") }
        if host.isEmpty { flags.append("noaddr") }
        let leaderID = node.leader.flatMap { node.membership.member($0) }.map { server.clusterNodeID(of: $0) }
        let now = UInt64(max(0, server.seams.clock.wallMicroseconds)) / 1000
        let heard = isOwn ? 0 : status.lastContactNanoseconds.map { now - min(now, $0 / 1_000_000) } ?? 0
        let parts = [
            server.clusterNodeID(of: status.member), "\(host):\(port)@\(peerPort)", flags.joined(separator: ","),
            isLeader ? "-" : leaderID ?? "-", "0", "\(heard)", "\(node.term)",
            status.role == nil ? "disconnected" : "connected",
        ]
        return parts.joined(separator: " ") + (isLeader ? " 0-\(KeySlot.count - 1)" : "")
    }

    private func clusterInfo() -> String {
        let status = server.node.status
        let isOK = status.isInWorkingGroup
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
