/// The voters of a group: one set, or two while the group is in joint consensus. What counts must hold in both halves.
public struct JointQuorum: Hashable, Sendable {
    /// Ascending, without repetition.
    public var incoming: [ReplicaID]
    /// Ascending, without repetition; empty outside joint consensus.
    public var outgoing: [ReplicaID]

    public init(incoming: [ReplicaID], outgoing: [ReplicaID] = []) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// The highest index that a majority of each half has acknowledged; unknown counts as 0. Of a quorum without any
    /// voter it is `Quorum.everything`.
    public func committed(_ acknowledged: (ReplicaID) -> RaftIndex?) -> RaftIndex {
        func half(_ voters: [ReplicaID]) -> UInt64 {
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: voters.count) { values in
                for (place, voter) in voters.enumerated() {
                    values.initializeElement(at: place, to: acknowledged(voter)?.rawValue ?? 0)
                }
                return Quorum.reachedByMajority(of: values)
            }
        }
        return RaftIndex(rawValue: min(half(incoming), half(outgoing)))
    }

    /// What the votes amount to; `nil` is a vote not cast.
    public func outcome(_ vote: (ReplicaID) -> Bool?) -> VoteOutcome {
        func half(_ voters: [ReplicaID]) -> VoteOutcome {
            var granted = 0
            var refused = 0
            for voter in voters {
                switch vote(voter) {
                case true?: granted += 1
                case false?: refused += 1
                case nil: continue
                }
            }
            return Quorum.outcome(voters: voters.count, granted: granted, refused: refused)
        }
        return Quorum.joint(half(incoming), half(outgoing))
    }
}
