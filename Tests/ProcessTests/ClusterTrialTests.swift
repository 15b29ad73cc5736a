import Foundation
import ProcessTestSupport
import Testing

/// The trials of real processes as their users call them. The long one, `cluster`, is run by hand.
@Suite("A group under faults", .serialized)
struct ClusterTrialTests {
    private let harness = Checkout.program("cordwood-crashtest")

    @Test("takes writes soon after its leader was killed", .timeLimit(.minutes(2)))
    func failsOver() throws {
        let run = try Command(harness, "failover", "--kills", "3", "--rate", "300", seconds: 100)
        #expect(run.exitCode == 0, "\(run.said)")
    }

    @Test("keeps its leader while all is well", .timeLimit(.minutes(2)))
    func keepsItsLeader() throws {
        let run = try Command(harness, "calm", "--seconds", "5", "--rate", "300", seconds: 60)
        #expect(run.exitCode == 0, "\(run.said)")
    }

    @Test("wrong usage ends with 2, help with 0")
    func exitCodes() throws {
        for command in ["cluster", "failover", "calm"] {
            #expect(try Command(harness, command, "--nodes", "none").exitCode == 2)
            #expect(try Command(harness, command, "--shred", "1").exitCode == 2)
            let help = try Command(harness, command, "--help")
            #expect(help.exitCode == 0 && help.output.contains("--seed"), "\(help.said)")
        }
    }
}
