import ProcessTestSupport
import Testing

@Suite("The crash test program on real files", .serialized)
struct CrashProgramTests {
    private let program = Checkout.program("cordwood-crashtest")

    @Test("a log store that is killed at any operation gives back what it acknowledged", arguments: ["uring", "posix"])
    func kill(_ io: String) throws {
        let run = try Command(program, "kill", "log", "--cycles", "100", "--seconds", "8", "--io", io, seconds: 60)
        #expect(run.exitCode == 0, "\(run.said)")
        print(run.output, terminator: "")
    }

    @Test("wrong usage ends with 2")
    func usage() throws {
        #expect(try Command(program).exitCode == 2)
        #expect(try Command(program, "kill", "nobody").exitCode == 2)
        #expect(try Command(program, "kill", "--cycles", "many").exitCode == 2)
        #expect(try Command(program, "worker").exitCode == 2)
    }
}
