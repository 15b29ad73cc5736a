import CordwoodBase
import CordwoodNode
import CordwoodRaft

// The group in the words of the protocol.

extension NodeStatus {
    /// Whether this node takes part in votes.
    var isVoting: Bool { membership.configuration.isVoter(replica) }

    /// A member of a group that has a leader, as far as this node knows.
    var isInWorkingGroup: Bool { leader != nil && !isRemoved }

    /// leader, follower, candidate, pre-candidate, learner, removed.
    var roleName: String {
        if isRemoved { return "removed" }
        return role == .follower && !isVoting ? "learner" : role.word
    }
}

extension RaftRole {
    var word: String {
        switch self {
        case .follower: "follower"
        case .preCandidate: "pre-candidate"
        case .candidate: "candidate"
        case .leader: "leader"
        }
    }
}

extension MemberStatus {
    /// Its role, or why that is not known: `announced` while no directory has come for the id.
    var stateName: String {
        guard let role else {
            return member.node == .none && lastContactNanoseconds == nil ? "announced" : "unreachable"
        }
        return role == .follower && !isVoter ? "learner" : role.word
    }

    /// Entries up to `last` that it does not hold, as far as that is known.
    func lagEntries(behind last: RaftIndex) -> UInt64? { match.map { $0 < last ? last - $0 : 0 } }

    /// Where its clients reach it; an empty host and port 0 while that is not known.
    var clientEndpoint: (host: String, port: Int) {
        guard let colon = clientAddress.lastIndex(of: ":"),
            let port = Int(clientAddress[clientAddress.index(after: colon)...])
        else { return ("", 0) }
        let host = clientAddress[..<colon]
        return (host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host), port)
    }
}
