import CordwoodBase
import CordwoodEvents
import CordwoodMachine
import Testing

@Suite("Decoding untrusted bytes")
struct DecoderTests {
    private let command: [UInt8] = TestEvent.encode([
        TestEvent(1, supplied: true, expected: .exactly(3)), TestEvent(2, stream: "b", expected: .exists),
    ])

    @Test("a command cut anywhere is refused as malformed")
    func truncatedCommands() throws {
        let bench = Workbench()
        for length in 0..<command.count {
            let answer = try AppendAnswer(decoding: bench.apply(Array(command[..<length])).answer)
            #expect(answer == .refused(.malformed), "length \(length)")
        }
        let longer = try AppendAnswer(decoding: bench.apply(command + [0]).answer)
        #expect(longer == .refused(.malformed))
    }

    @Test("changed bytes of a command never stop the process", arguments: 0..<4 as Range<UInt64>)
    func changedCommands(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let bench = Workbench()
        for _ in 0..<5000 {
            var changed = command
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                let position = Int.random(in: 0..<changed.count, using: &dice)
                changed[position] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &dice) ?? 0
            }
            _ = try AppendAnswer(decoding: bench.apply(changed).answer)
        }
    }

    @Test("random bytes are no command", arguments: 0..<4 as Range<UInt64>)
    func randomCommands(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let bench = Workbench()
        for _ in 0..<5000 {
            var bytes = (0..<Int.random(in: 0..<120, using: &dice)).map { _ in UInt8.random(in: 0...255, using: &dice) }
            if bytes.count > 4, Bool.random(using: &dice) { bytes.replaceSubrange(0..<4, with: [1, 0, 1, 0]) }
            _ = try AppendAnswer(decoding: bench.apply(bytes).answer)
        }
    }

    @Test("every answer is decoded to what it says, and a cut one is an error")
    func answers() throws {
        let bench = Workbench()
        let payloads = [
            TestEvent.encode([TestEvent(1, supplied: true)]), TestEvent.encode([TestEvent(1, supplied: true)]),
            TestEvent.encode([TestEvent(2), TestEvent(3)]), TestEvent.encode([TestEvent(4, expected: .empty)]),
            TestEvent.encode([TestEvent(2, supplied: true)]), [0],
        ]
        for payload in payloads {
            let answer = bench.apply(payload).answer
            _ = try AppendAnswer(decoding: answer)
            for length in 0..<answer.count where length % 40 != 1 || length == 1 {
                #expect(throws: DecodeError.self) { try AppendAnswer(decoding: Array(answer[..<length])) }
            }
        }
        for kind in [0, 8, 255] as [UInt8] {
            #expect(throws: DecodeError.self) { try AppendAnswer(decoding: [kind]) }
        }
    }
}
