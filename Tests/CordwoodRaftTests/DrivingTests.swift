import CordwoodBase
import CordwoodRaft
import Testing

/// The driving protocol as the head of `RaftCore.swift` tells it.
@Suite struct DrivingTests {
    @Test func aGroupOfOneElectsAppendsCommitsAndHandsOutWithoutANetwork() throws {
        var core = try RaftCore(
            RaftStart(replica: 1, configuration: GroupConfiguration(voters: [1]), seed: 1), options: RaftOptions())
        var out = RaftEffects()

        // Without anyone to ask, pre-vote and vote are its own, each given when it is durable.
        core.step(.campaign, into: &out)
        try out.handBack(to: &core, kind: .preVoteResponse)
        #expect(out.take { if case .persist(let vote, _) = $0 { vote } else { nil } } == Vote(term: 1, candidate: 1))
        try out.handBack(to: &core, kind: .voteResponse)
        #expect(core.isLeader && core.leader == 1)
        let start = try #require(
            out.take { if case .append(let range, _, .termStart, let token) = $0 { (range, token) } else { nil } })
        #expect(start.0 == 1..<2)
        core.step(.durable(start.1), into: &out)
        #expect(core.commitIndex == 0)
        try out.handBack(to: &core, kind: .appendResponse)
        #expect(core.commitIndex == 1)
        #expect(out.take { if case .apply(let range) = $0 { range } else { nil } } == RaftIndex(1)..<2)
        core.step(.applied(1), into: &out)

        // One proposal, as in the worked example.
        out.removeAll()
        #expect(
            core.propose(.application, size: 256, into: &out) == .accepted(LogPosition(index: 2, term: 1)))
        #expect(out.effects.isEmpty)
        core.step(.endTurn, into: &out)
        let token = core.durabilityToken
        #expect(out.effects.first == .append(2..<3, replaces: false, source: .proposals, token))
        core.step(.durable(token), into: &out)
        try out.handBack(to: &core, kind: .appendResponse)
        #expect(out.effects.last == .apply(2..<3))
    }
}

extension RaftEffects {
    /// Finds the first effect that `pick` knows, and returns what it makes of it.
    func take<Value>(_ pick: (RaftEffect) -> Value?) -> Value? { effects.lazy.compactMap(pick).first }

    /// Gives the replica's own message of a kind back to it, as if what it waited for were durable now.
    mutating func handBack(to core: inout RaftCore, kind: RaftMessage.Kind) throws {
        let own = core.replica
        let message = try #require(
            take { effect -> RaftMessage? in
                if case .sendAfter(_, let message) = effect, message.to == own, message.kind == kind {
                    message
                } else {
                    nil
                }
            })
        removeAll()
        core.receive(message, into: &self)
    }
}
