import Foundation
import ProcessTestSupport
import Testing

@Suite("cordwood-crashtest", .timeLimit(.minutes(3)))
struct HarnessProgramTests {
    private static let program = Checkout.program("cordwood-crashtest")

    @Test("finds that every mutant says what it is and applies to the tree")
    func mutantsApply() throws {
        let check = try Command(Self.program, "mutants", "--check", "--tree", Checkout.root.path, seconds: 120)
        #expect(check.exitCode == 0, "\(check.said)")
        let list = try Command(Self.program, "mutants", "--list", "--tree", Checkout.root.path, seconds: 30)
        #expect(list.output.split(separator: "\n").count >= 30, "\(list.said)")
    }

    @Test("cuts the power while a replica catches up, and finds what it had or what it was given")
    func catchesUp() throws {
        let run = try Command(
            Self.program, "enumerate", "--exhaustive", "1", "--states", "2", "--recovery", "60", "catch up",
            seconds: 150)
        #expect(run.exitCode == 0, "\(run.said)")
        #expect(run.output.contains("all: "), "\(run.said)")
    }

    @Test("refuses a wrong call with its usage", arguments: ["enumerate --sector 7", "mutants --limit no", "nothing"])
    func refuses(_ words: String) throws {
        let run = try Command([Self.program] + words.split(separator: " ").map(String.init))
        #expect(run.exitCode == 2)
        #expect(run.errors.contains("usage"), "\(run.said)")
    }
}
