import CordwoodBase
import Testing

@Suite struct QuorumTests {
    @Test func aMajorityIsMoreThanHalf() {
        for voters in 1...9 { #expect(2 * Quorum.majority(of: voters) > voters) }
        #expect(Quorum.majority(of: 4) == 3)
    }

    @Test func theEmptySetHasReachedEverythingAndWins() {
        let nobody = JointQuorum(incoming: [])
        #expect(nobody.committed { _ in nil }.rawValue == Quorum.everything)
        #expect(nobody.outcome { _ in nil } == .won)
    }

    @Test func aJointVoteIsLostByOneHalfAndWonByBoth() {
        let quorum = JointQuorum(incoming: [1, 2, 3], outgoing: [3, 4, 5])
        #expect(quorum.outcome { [1, 2, 3].contains($0) ? true : nil } == .pending)
        #expect(quorum.outcome { [1, 2, 3].contains($0) ? true : false } == .lost)
        #expect(quorum.outcome { [1, 2, 3, 4].contains($0) ? true : nil } == .won)
    }

    @Test func moreThanExistIsReachedByNobody() {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { values in
            _ = values.initialize(fromContentsOf: [7, 9])
            #expect(Quorum.reached(by: 3, of: values) == 0)
            #expect(Quorum.reached(by: 2, of: values) == 7)
            #expect(Quorum.reached(by: 1, of: values) == 9)
            #expect(Quorum.reached(by: 0, of: values) == Quorum.everything)
        }
    }

    /// The property that a quorum is: what it has reached, a majority of each half has, and of the next value not.
    @Test(arguments: [1, 3, 4, 7, 33, 100])
    func whatAQuorumReachedAMajorityHasAndNoMore(size: Int) {
        var generator = SeededGenerator(seed: 0xC0DE + UInt64(size))
        for _ in 0..<200 {
            let voters = (1...size).map { ReplicaID(UInt64($0)) }
            let half = JointQuorum(
                incoming: voters.filter { _ in Bool.random(using: &generator) },
                outgoing: voters.filter { _ in Bool.random(using: &generator) })
            let match = voters.map { _ in RaftIndex(.random(in: 0...20, using: &generator)) }
            func reached(_ replica: ReplicaID) -> RaftIndex { match[Int(replica.rawValue) - 1] }
            let committed = half.committed(reached)
            func has(_ index: RaftIndex, _ voters: [ReplicaID]) -> Bool {
                voters.isEmpty || 2 * voters.count { reached($0) >= index } > voters.count
            }
            if half.incoming.isEmpty && half.outgoing.isEmpty {
                #expect(committed.rawValue == Quorum.everything)
            } else {
                #expect(has(committed, half.incoming) && has(committed, half.outgoing))
                #expect(!(has(committed.next, half.incoming) && has(committed.next, half.outgoing)))
            }
        }
    }
}

/// A generator that gives the same numbers on every run.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}
