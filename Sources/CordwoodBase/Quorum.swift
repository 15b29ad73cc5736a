/// What a set of votes amounts to.
public enum VoteOutcome: Hashable, Sendable {
    case pending
    case lost
    case won
}

/// The arithmetic of quorums, in one place: elections, commit, read rounds, check-quorum and the acknowledgement
/// tracker all count with these functions.
///
/// A majority of n is n/2 + 1. The empty set is the neutral half of a joint quorum: it has reached everything and wins
/// every vote.
public enum Quorum {
    /// What an empty set of voters has reached.
    public static let everything = UInt64.max

    @inlinable
    public static func majority(of voters: Int) -> Int { voters / 2 + 1 }

    /// The highest value that at least `required` of `values` have reached: 0 when fewer are asked for than exist,
    /// `everything` when none are required. Reorders `values`.
    @inlinable
    public static func reached(by required: Int, of values: UnsafeMutableBufferPointer<UInt64>) -> UInt64 {
        if required <= 0 { return everything }
        if required > values.count { return 0 }
        sortDescending(values)
        return values[required - 1]
    }

    /// The highest value that a majority of `values` has reached. Reorders `values`.
    @inlinable
    public static func reachedByMajority(of values: UnsafeMutableBufferPointer<UInt64>) -> UInt64 {
        values.isEmpty ? everything : reached(by: majority(of: values.count), of: values)
    }

    /// What `granted` and `refused` votes out of `voters` amount to.
    @inlinable
    public static func outcome(voters: Int, granted: Int, refused: Int) -> VoteOutcome {
        if voters == 0 || granted >= majority(of: voters) { return .won }
        return voters - refused >= majority(of: voters) ? .pending : .lost
    }

    /// A joint vote is won if both halves are, lost if one is.
    @inlinable
    public static func joint(_ incoming: VoteOutcome, _ outgoing: VoteOutcome) -> VoteOutcome {
        if incoming == .lost || outgoing == .lost { return .lost }
        return incoming == .won && outgoing == .won ? .won : .pending
    }

    /// Groups are small, so insertion wins; large ones still finish in n log n.
    @inlinable
    static func sortDescending(_ values: UnsafeMutableBufferPointer<UInt64>) {
        if values.count > 32 {
            var values = values
            values.sort(by: >)
            return
        }
        for end in 1..<max(values.count, 1) {
            let value = values[end]
            var place = end
            while place > 0, values[place - 1] < value {
                values[place] = values[place - 1]
                place -= 1
            }
            values[place] = value
        }
    }
}
