import ProcessTestSupport
import Testing

/// Short runs of the trials on real files; docs/testing.md has figures of long ones. What a trial needs and is missing,
/// it names itself, and ends well.
@Suite("The crash test program on real files", .serialized)
struct CrashProgramTests {
    private let program = Checkout.program("cordwood-crashtest")

    @Test(
        "whatever is killed, fails or is lost, nothing that was acknowledged is missing",
        arguments: [
            "kill log --io uring --cycles 100 --seconds 4", "kill log --io posix --cycles 50 --seconds 3",
            "kill node --cycles 40 --seconds 3", "faults log --cycles 1", "filesystem log --kind ext4 --seconds 2",
            "filesystem node --kind xfs --seconds 2", "powercut log --cycles 12 --seconds 2",
            "disk log --fault eio --cycles 2", "disk log --fault full --cycles 1",
            "disk log --fault slow --cycles 1",
            "limits log --cycles 4",
        ])
    func trial(_ words: String) throws {
        let run = try Command([program] + words.split(separator: " ").map(String.init), seconds: 100)
        #expect(run.exitCode == 0, "\(run.said)")
        print(run.output, terminator: "")
    }

    @Test("a state machine of one's own is put to the same tests")
    func ownMachine() throws {
        let example = Checkout.program("cordwood-crash-example")
        let run = try Command(example, "kill", "--cycles", "20", "--seconds", "2", seconds: 100)
        #expect(run.exitCode == 0 && run.output.contains("accounts"), "\(run.said)")
    }

    @Test("wrong usage ends with 2, a call for help with 0")
    func usage() throws {
        #expect(try Command(program).exitCode == 2)
        #expect(try Command(program, "kill", "nobody").exitCode == 2)
        #expect(try Command(program, "kill", "--cycles", "many").exitCode == 2)
        #expect(try Command(program, "worker").exitCode == 2)
        #expect(try Command(program, "filesystem", "--help").exitCode == 0)
    }
}
