import CordwoodBase
import CordwoodRaft
import Testing

/// A core is a value: the same inputs give the same effects.
@Suite struct DeterminismTests {
    /// The effects of a short life, as text.
    private func life(seed: UInt64) throws -> String {
        var text = ""
        var random = GroupRandom(seed: seed)
        var group = try Group(3, options: Group.options { ($0.preVote, $0.checkQuorum) = (true, true) }, seed: seed)
        for _ in 0..<400 {
            let id = group.ids[Int(random.next() % 3)]
            if group[id].core.isLeader { group.propose(id) } else { group.tick(id) }
            while !group.network.isEmpty, random.chance(60) {
                let packet = group.network.removeFirst()
                text += "\(packet)\n"
                if !random.chance(10) { group.receive(packet) }
            }
        }
        return text + group.description
    }

    @Test(arguments: 1...5)
    func theSameInputsGiveTheSameEffects(seed: UInt64) throws {
        let first = try life(seed: seed)
        #expect(try life(seed: seed) == first)
        #expect(first.count > 1000)
    }

    /// Across processes: the value was taken in another one. It changes when the protocol's effects do.
    @Test func theEffectsAreTheSameInEveryProcess() throws {
        let text = Array(try life(seed: 42).utf8)
        let hash = text.withUnsafeBytes { Checksum.xxh64($0) }
        #expect(hash == 5_536_680_289_753_633_692)
    }

    @Test func copiesOfACoreGoTheirOwnWays() throws {
        var left = try CoreProbe()
        var right = left
        _ = left.lead()
        _ = right.receive(right.append(term: 7, after: 0, 0))
        #expect(left.core.isLeader && left.core.term == 1)
        #expect(right.core.role == .follower && right.core.term == 7)
    }
}
