import CordwoodVirtual
import Testing

@testable import CordwoodTrials

@Suite("The faults of a trial")
struct FaultTests {
    @Test("come each once before any comes again, in the order of the seed")
    func deck() {
        let kinds = FaultKind.allCases.filter { $0.lane == .machines }
        func deal(_ seed: UInt64) -> [FaultKind] {
            var deck = FaultDeck(kinds, VirtualRandom(seed: seed))
            return (0..<3 * kinds.count).compactMap { _ in deck.next() }
        }
        let dealt = deal(1)
        for round in 0..<3 {
            #expect(Set(dealt[round * kinds.count..<(round + 1) * kinds.count]) == Set(kinds))
        }
        #expect(deal(1) == dealt && deal(2) != dealt)
        var none = FaultDeck([], VirtualRandom(seed: 1))
        #expect(none.next() == nil)
    }

    @Test("a run that never met an expected fault fails")
    func missing() {
        var strikes = StrikeCounts()
        strikes.add(.halves)
        #expect(throws: Never.self) { try strikes.check([.halves]) }
        #expect(throws: Violation("every expected fault strikes", "never: bridge")) {
            try strikes.check([.halves, .bridge])
        }
    }

    @Test("two leaders in one term, or one that leads twice in it, are seen in the logs")
    func leaders() throws {
        var record = LeaderRecord()
        func line(_ role: String, _ term: Int) -> Substring {
            "time=t level=info subsystem=raft msg=\"role changed\" role=\(role) term=\(term) leader=1"
        }
        try record.read(line("leader", 2), of: "a")
        try record.read(line("follower", 3), of: "a")
        try record.read(line("leader", 3), of: "b")
        #expect(record.elections == 2 && record.highestTerm == 3 && record.changes == 3)
        #expect(throws: Violation.self) { try record.read(line("leader", 3), of: "c") }
        #expect(throws: Violation.self) { try record.read(line("leader", 2), of: "a") }
    }

    @Test("the sender of a peer connection is read from its first frame, however it arrives")
    func greeting() {
        var frame = [UInt8](repeating: 0, count: 24 + 62)
        let name = Array("node-7".utf8)
        frame += [UInt8(name.count), 0] + name + [0, 0]
        frame[8] = UInt8(frame.count - 24)
        for count in 0..<frame.count {
            #expect(frame[..<count].withUnsafeBytes { Greeting($0) } == .unfinished)
        }
        #expect(frame.withUnsafeBytes { Greeting($0) } == .named("node-7"))
        #expect([UInt8](repeating: 0xFF, count: 200).withUnsafeBytes { Greeting($0) } == .foreign)
    }

    @Test("a trace line that lacks a field is no event")
    func schema() {
        let sound =
            #"{"tag":"trace","event":{"name":"BecomeLeader","nid":"1","state":{"term":2,"vote":"1","commit":7},"#
            + #""role":"StateLeader","log":7,"conf":[["1","2"],[]]}}"#
        #expect(TraceSchema.flaw(in: sound[...]) == nil)
        #expect(TraceSchema.flaw(in: sound.replacing(#""nid":"1","#, with: "")[...]) != nil)
        #expect(TraceSchema.flaw(in: sound.replacing("BecomeLeader", with: "SendRequestVoteRequest")[...]) != nil)
        #expect(TraceSchema.flaw(in: "torn") != nil)
    }
}
