import ProcessTestSupport
import Testing

@Suite("A node that is killed under load", .serialized)
struct CrashTests {
    @Test("gives back what it acknowledged", .timeLimit(.minutes(5)), arguments: ["uring", "posix"])
    func givesBack(_ io: String) throws {
        let node = Checkout.program("cordwood-node")
        let run = try Command("tools/crash", "--rounds", "25", "--io", io, "--binary", node, seconds: 240)
        #expect(run.exitCode == 0, "\(run.said)")
        print(run.output, terminator: "")
    }

    @Test("gives back what it acknowledged without syncs, too: a kill leaves what was written", .timeLimit(.minutes(2)))
    func givesBackWithoutSyncs() throws {
        let node = Checkout.program("cordwood-node")
        let run = try Command(
            "tools/crash", "--rounds", "6", "--io", "uring", "--binary", node, "--option=--durability-sync=no",
            seconds: 100)
        #expect(run.exitCode == 0, "\(run.said)")
        print(run.output, terminator: "")
    }
}
