import ProcessTestSupport
import Testing

@Suite("The tree")
struct TreeTests {
    @Test("keeps its own rules", .timeLimit(.minutes(3)))
    func isTidy() throws {
        let tidy = try Tidy(Checkout.root)
        for finding in tidy.findings { Issue.record("\(finding)") }
        #expect(tidy.exitCode == 0)
    }
}
