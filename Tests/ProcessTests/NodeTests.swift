import Foundation
import ProcessTestSupport
import Testing

/// The node as a newcomer meets it: one command, `redis-cli`, SIGKILL, and everything is still there.
@Suite("A node", .serialized, .timeLimit(.minutes(2)), .enabled(if: RedisClients.cli, "redis-cli is not installed"))
struct NodeTests {
    @Test("has what it acknowledged after SIGKILL", arguments: ["uring", "posix"])
    func survivesSIGKILL(_ io: String) throws {
        let folder = try TemporaryFolder()
        let data = folder.url.appending(path: "data")
        let node = try NodeProcess(on: data, io: io)
        for version in 0..<5 {
            let answer = try node.cli("EAPPEND", "orders", "placed", "PAYLOAD", "order \(version)")
            #expect(field("stream_version", of: answer) == "\(version)")
        }
        node.kill()

        let again = try NodeProcess(on: data, io: io)
        #expect(try again.cli("ESVER", "orders") == "4")
        let events = try again.cli("ESCAN", "orders", "-", "+")
        for version in 0..<5 { #expect(events.contains("order \(version)")) }
        #expect(try field("stream_version", of: again.cli("EAPPEND", "orders", "placed")) == "5")
    }

    @Test("ends on SIGTERM and has everything at the next start")
    func endsOnSIGTERM() throws {
        let folder = try TemporaryFolder()
        let node = try NodeProcess(on: folder.url)
        _ = try node.cli("EAPPEND", "orders", "placed")
        #expect(node.terminate() == 0)
        #expect(try NodeProcess(on: folder.url).cli("ESVER", "orders") == "0")
    }

    @Test("goes on with plain system calls where io_uring is forbidden, and says so")
    func goesOnWithoutUring() throws {
        let folder = try TemporaryFolder()
        let wrapper = Checkout.root.appending(path: "tools/support/without-io-uring").path
        let node = try NodeProcess(on: folder.url, wrapper: [wrapper])
        #expect(try node.cli("PING") == "PONG")
        #expect(try node.cli("INFO", "server").contains("io_backend:posix"))
        #expect(node.errors.contains("io_uring"))
    }

    @Test("leaves a directory alone that another process holds")
    func refusesALockedDirectory() throws {
        let folder = try TemporaryFolder()
        let node = try NodeProcess(on: folder.url)
        let program = Checkout.program("cordwood-node")
        let second = try Command(program, "--data", folder.url.path, "--listen", "127.0.0.1:0")
        #expect(second.exitCode == 75, "\(second.said)")
        #expect(try node.cli("PING") == "PONG")
    }

    @Test("refuses a wrong value with its name, its value and its range")
    func refusesAWrongValue() throws {
        let folder = try TemporaryFolder()
        let program = Checkout.program("cordwood-node")
        let run = try Command(program, "--data", folder.url.path, "--commit-depth", "9")
        #expect(run.exitCode != 0 && run.exitCode != 124, "\(run.said)")
        for word in ["commit", "depth", "9", "1", "4"] { #expect(run.errors.contains(word), "\(run.said)") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
    }
}
