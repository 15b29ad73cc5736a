import Testing

@testable import CordwoodServer

@Suite("Parts of commands") struct CommandPartTests {
    @Test func patternsMatchAsRedisUsersExpect() {
        func matches(_ pattern: String, _ text: String) -> Bool { GlobPattern(pattern).matches(text) }
        #expect(matches("*", "") && matches("*", "segment.size") && matches("seg*", "segment.size"))
        #expect(
            matches("*size", "segment.size") && matches("s*.s*", "segment.size")
                && matches("segment?size", "segment.size"))
        #expect(matches("[a-s]egment.size", "segment.size") && matches("[^a-r]*", "segment.size"))
        #expect(matches("a\\*b", "a*b") && !matches("a\\*b", "axb"))
        #expect(!matches("segment", "segment.size") && !matches("", "x") && !matches("[^s]*", "segment.size"))
        #expect(!matches(String(repeating: "*a", count: 50) + "b", String(repeating: "a", count: 200)))
    }

    @Test func numbersAreDecimalDigitsAndNothingElse() {
        func number(_ text: String) -> UInt64? { Array(text.utf8).withUnsafeBytes { decimal($0) } }
        #expect(number("0") == 0 && number("18446744073709551615") == .max)
        for text in ["", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "99999999999999999999999"] {
            #expect(number(text) == nil, "\(text)")
        }
    }

    @Test func commandsAreFoundInEitherCase() {
        let table = CommandTable()
        func find(_ name: String) -> Command? { Array(name.utf8).withUnsafeBytes { table.find($0) } }
        for description in CommandTable.descriptions {
            #expect(find(description.name) == description.command)
            #expect(find(description.name.lowercased()) == description.command)
            #expect(find(description.name + "X") == nil)
        }
        #expect(find("") == nil)
    }

    @Test func percentilesAreKnownToWithinAFifth() {
        var histogram = LatencyHistogram()
        for microseconds in 1...1000 { histogram.record(UInt64(microseconds) * 1_000) }
        for (part, exact) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0)] {
            let found = Double(histogram.percentile(part))
            #expect(found >= exact && found <= exact * 1.25, "\(part): \(found)")
        }
    }
}
