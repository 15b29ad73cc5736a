import Foundation
import ProcessTestSupport
import Testing

/// What clients that know nothing of Cordwood send and need.
@Suite("A node serves", .serialized, .timeLimit(.minutes(2)))
struct RedisClientTests {
    let folder: TemporaryFolder
    let node: NodeProcess

    init() throws {
        folder = try TemporaryFolder()
        node = try NodeProcess(on: folder.url)
    }

    @Test("redis-cli in both protocol versions", .enabled(if: RedisClients.cli, "redis-cli is not installed"))
    func cli() throws {
        #expect(try node.cli("PING") == "PONG")
        #expect(try node.cli("-3", "PING") == "PONG")
        let flat = try node.cli("EAPPEND", "orders", "placed", "PAYLOAD", "first")
        #expect(flat.split(separator: "\n").count == 12, "\(flat)")
        let map = try node.cli("-3", "--json", "EAPPEND", "orders", "placed", "PAYLOAD", "second")
        let answer = try JSONSerialization.jsonObject(with: Data(map.utf8)) as? [String: Any]
        #expect(answer?["stream_version"] as? Int == 1, "\(map)")
        #expect(try node.cli("-3", "ESVER", "orders") == "1")
        #expect(try node.cli("NOSUCHCOMMAND").hasPrefix("ERR unknown command"))
        #expect(try node.cli("COMMAND", "COUNT").allSatisfy(\.isNumber))
    }

    @Test("redis-cli --pipe", .enabled(if: RedisClients.cli, "redis-cli is not installed"))
    func pipe() throws {
        let commands = folder.url.appending(path: "commands")
        try Data(String(repeating: "EAPPEND piped happened PAYLOAD x\r\n", count: 500).utf8).write(to: commands)
        let run = try Command("bash", "-c", "redis-cli -p \(node.port) --pipe < '\(commands.path)'")
        #expect(run.exitCode == 0)
        #expect(run.output.contains("errors: 0, replies: 500"), "\(run.said)")
        #expect(try node.cli("ESVER", "piped") == "499")
    }

    @Test("redis-py with its defaults", .enabled(if: RedisClients.python != nil, "redis-py is not installed"))
    func python() throws {
        let program = """
            import redis
            client = redis.Redis(port=\(node.port), decode_responses=True)
            assert client.ping()
            for version in range(3):
                reply = client.execute_command("EAPPEND", "orders", "placed", "PAYLOAD", f"order {version}")
                answer = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))
                assert answer["stream_version"] == version, answer
            assert client.execute_command("ESVER", "orders") == 2
            assert client.info("server")["redis_version"]
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(100):
                    pipeline.execute_command("EAPPEND", "lines", "written")
                pipeline.execute()
            assert client.execute_command("ESVER", "lines") == 99
            """
        let run = try Command(RedisClients.python ?? "python3", "-c", program)
        #expect(run.exitCode == 0, "\(run.said)")
    }

    @Test(
        "redis-benchmark with EAPPEND as a custom command",
        .enabled(if: RedisClients.benchmark, "redis-benchmark is not installed"),
        arguments: [
            ["-c", "1", "-n", "500"], ["-c", "20", "-P", "16", "-n", "8000"], ["-3", "-c", "5", "-n", "2000"],
        ])
    func benchmark(_ load: [String]) throws {
        let run = try Command(
            ["redis-benchmark", "-p", "\(node.port)", "-r", "1000", "--csv"] + load
                + ["EAPPEND", "stream:__rand_int__", "measured", "PAYLOAD", String(repeating: "x", count: 256)])
        #expect(run.exitCode == 0, "\(run.said)")
        #expect(!run.output.lowercased().contains("error"), "\(run.said)")
        #expect(run.output.contains("EAPPEND"), "\(run.said)")
    }

    @Test("redis-benchmark's own pings", .enabled(if: RedisClients.benchmark, "redis-benchmark is not installed"))
    func pings() throws {
        let run = try Command("redis-benchmark", "-p", "\(node.port)", "-t", "ping", "-n", "2000", "--csv")
        #expect(run.exitCode == 0, "\(run.said)")
        #expect(run.output.contains("PING_INLINE") && run.output.contains("PING_MBULK"), "\(run.said)")
    }
}
