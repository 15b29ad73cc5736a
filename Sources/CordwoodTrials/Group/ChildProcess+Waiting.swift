import CordwoodIO
import CordwoodProcesses
import Glibc

extension ChildProcess {
    /// Waits until it has ended; `nil` when it has not within the time.
    func untilEnded(_ clock: any Clock, seconds: Double) async -> End? {
        await clock.until(seconds: seconds, everyMilliseconds: 5) { poll() != nil }
        return poll()
    }

    /// SIGKILL, and the end of the process.
    func end(_ clock: any Clock) async {
        signal(SIGKILL)
        _ = await untilEnded(clock, seconds: 30)
    }

    /// Runs a command to its end and returns what it printed, with the errors behind it.
    static func run(
        _ words: [String], _ clock: any Clock, scratch: String, seconds: Double
    ) async throws(TrialError) -> (end: End, output: String) {
        let (output, errors) = (scratch + ".out", scratch + ".err")
        for path in [output, errors] { unlink(path) }
        defer { for path in [output, errors] { unlink(path) } }
        let process = try start(words, output: output, errors: errors)
        guard let end = await process.untilEnded(clock, seconds: seconds) else {
            await process.end(clock)
            throw TrialError("\(words.joined(separator: " ")) has not ended within \(Int(seconds)) s")
        }
        return (end, TrialFiles.text(of: output) + TrialFiles.text(of: errors))
    }

    static func start(_ words: [String], output: String, errors: String) throws(TrialError) -> ChildProcess {
        do throws(IOError) { return try ChildProcess(words, output: output, errors: errors) } catch {
            throw TrialError("\(error)")
        }
    }
}
