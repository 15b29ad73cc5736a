import Foundation
import ProcessTestSupport
import Testing

@Suite("The crash harness")
struct HarnessTests {
    @Test("finds every fault that its own tests fabricate", .timeLimit(.minutes(4)), arguments: ["ledger", "crash"])
    func finds(_ module: String) throws {
        let support = Checkout.root.appending(path: "tools/support")
        let run = try Command("python3", "-m", "unittest", "harness.test_\(module)", in: support, seconds: 200)
        #expect(run.exitCode == 0, "\(run.said)")
    }
}
