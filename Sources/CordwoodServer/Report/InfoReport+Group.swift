import CordwoodBase
import CordwoodNode
import CordwoodRaft

/// The sections about the group.
extension InfoReport {
    func writeReplication(_ info: inout InfoText) {
        let status = server.node.status
        let isLeader = status.role == .leader
        let members = server.node.memberStatuses
        let replicas = members.filter { $0.member.replica != status.replica }
        info.section("Replication")
        info.line("role", isLeader ? "master" : "slave")
        info.line("connected_slaves", isLeader ? replicas.count { $0.role != nil } : 0)
        if isLeader {
            for (number, replica) in replicas.enumerated() {
                let (host, port) = replica.clientEndpoint
                info.line(
                    "slave\(number)",
                    fields: [
                        ("ip", host), ("port", port), ("state", replica.role == nil ? "down" : "online"),
                        ("offset", replica.match ?? 0),
                        ("lag", (replica.lastContactNanoseconds ?? 0) / 1_000_000_000),
                    ])
            }
        } else {
            let leader = members.first { $0.member.replica == status.leader }
            let endpoint = leader?.clientEndpoint ?? ("", 0)
            info.line("master_host", endpoint.0)
            info.line("master_port", endpoint.1)
            info.line("master_link_status", leader?.role == nil ? "down" : "up")
        }
        info.line("master_repl_offset", status.commit)
    }

    func writeRaft(_ info: inout InfoText) {
        let status = server.node.status
        let membership = status.membership
        info.section("Raft")
        info.line("raft_node_id", status.node)
        info.line("raft_replica_id", status.replica)
        info.line("raft_state", stateName)
        info.line("raft_role", status.roleName)
        info.line("raft_is_voting", status.isVoting)
        info.line("raft_leader_id", status.leader.map { "\($0)" } ?? "")
        info.line("raft_current_term", status.term)
        info.line("raft_voted_for", status.vote)
        info.line("raft_num_nodes", membership.members.count)
        info.line("raft_num_voting_nodes", membership.configuration.voters.count)
        info.line("raft_config_index", membership.configurationIndex)
        info.line("raft_joint", membership.configuration.isJoint)
        for (number, member) in server.node.memberStatuses.enumerated() {
            info.line("raft_node\(number)", fields: fields(of: member, last: status.log.nextIndex.previous))
        }
        info.line("raft_log_entries", status.log.nextIndex - status.log.startIndex)
        info.line("raft_current_index", status.log.nextIndex.previous)
        info.line("raft_commit_index", status.commit)
        info.line("raft_last_applied_index", status.dispatched)
        info.line("raft_start_index", status.log.startIndex)
        info.line("raft_snapshot_index", status.log.boundary.index)
        info.line("raft_snapshot_term", status.log.boundary.term)
        info.line("raft_uncommitted_bytes", status.uncommittedBytes)
        info.line("raft_leader_changes", status.leaderChanges)
    }

    private var stateName: String {
        if server.node.isRemoved { return "removed" }
        return server.node.readiness == .ready ? "up" : "loading"
    }

    /// What is not known of a member is left out.
    private func fields(of status: MemberStatus, last: RaftIndex) -> [(String, any CustomStringConvertible)] {
        let address = status.member.address
        let colon = address.lastIndex(of: ":") ?? address.endIndex
        var fields: [(String, any CustomStringConvertible)] = [
            ("id", status.member.replica), ("node", status.member.name), ("state", status.stateName),
            ("voting", status.isVoter ? "yes" : "no"), ("addr", address[..<colon]),
            ("port", address[colon...].dropFirst()),
        ]
        if let silence = status.lastContactNanoseconds { fields.append(("last_conn_secs", silence / 1_000_000_000)) }
        if let match = status.match { fields.append(("match", match)) }
        if let next = status.next { fields.append(("next", next)) }
        if let lag = status.lagEntries(behind: last) { fields.append(("lag_entries", lag)) }
        if let roundTrip = status.roundTripNanoseconds { fields.append(("rtt_us", roundTrip / 1000)) }
        if let replication = status.replication { fields.append(("progress", "\(replication)")) }
        return fields
    }

    func writeCluster(_ info: inout InfoText) {
        info.section("Cluster")
        info.line("cluster_enabled", 1)
        info.line("cluster_state", server.node.status.isInWorkingGroup ? "ok" : "fail")
        info.line("breakers_open", server.node.forwardingState == "closed" ? 0 : 1)
        info.line("forwarding", server.node.forwardingState)
        info.line("start_timestamp", server.node.startedMicroseconds / 1000)
    }
}
