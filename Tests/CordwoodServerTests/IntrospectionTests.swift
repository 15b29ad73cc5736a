import CordwoodIO
import CordwoodRESP
import CordwoodServer
import CordwoodVirtual
import Testing

@Suite("What a node says of itself") struct IntrospectionTests {
    @Test func theCommandTableIsTheRealOne() throws {
        try withServedNode { served in
            let client = try await served.connect()
            guard case .array(let commands) = try await client.ask("COMMAND") else { throw TestFailure("no array") }
            #expect(try await client.ask("COMMAND", "COUNT") == .integer(Int64(commands.count)))
            for case .array(let fields) in commands {
                let name = fields[0].text ?? ""
                let hasKey = ["eappend", "emappend", "escan", "esver"].contains(name)
                #expect(fields[3] == .integer(hasKey ? 1 : 0), "\(name)")
                // The dispatcher knows every command of the table, whatever it answers.
                guard !["quit", "cordwood.shutdown"].contains(name) else { continue }
                let reply = try await client.ask(name)
                if case .error(let text) = reply { #expect(!text.hasPrefix("ERR unknown command"), "\(name): \(text)") }
            }
            #expect(try await client.ask("COMMAND", "GETKEYS", "EAPPEND", "s", "e") == .array([.bulk(Array("s".utf8))]))
            #expect(try await client.ask("COMMAND", "INFO", "nothing") == .array([.null]))
            let documentation = try await client.ask("COMMAND", "DOCS", "eget")
            #expect(documentation["eget"]?["summary"]?.text == "Finds an event by its id")
        }
    }

    @Test func optionsAreReadByPatternAndSetWhereTheyCanBe() throws {
        try withServedNode { served in
            let client = try await served.connect()
            #expect(try await client.ask("CONFIG", "GET", "save")["save"]?.text == "")
            #expect(try await client.ask("CONFIG", "GET", "appendonly")["appendonly"]?.text == "yes")
            let segment = try await client.ask("CONFIG", "GET", "segment.*")
            #expect(segment["segment.size"]?.text == "64MiB" && segment["segment.preallocate"]?.text == "1")
            #expect(segment["commit.depth"] == nil)
            #expect(try await client.ask("CONFIG", "SET", "log.level", "debug") == .simple("OK"))
            #expect(try await client.ask("CONFIG", "GET", "log.level")["log.level"]?.text == "debug")
            #expect(
                try await client.ask("CONFIG", "SET", "segment.size", "32MiB")
                    == .error(
                        "ERR CONFIG SET failed: option 'segment.size' can only be set at start: it needs a restart"))
            #expect(
                try await client.ask("CONFIG", "SET", "log.level", "loud")
                    == .error(
                        "ERR CONFIG SET failed: log.level = 'loud': must be error, warn, info, debug or trace"))
        }
    }

    @Test func infoHasTheFiguresThatToolsAskFor() throws {
        try withServedNode { served in
            let client = try await served.connect()
            for number in 0..<10 { _ = try await client.ask("EAPPEND", "s\(number)", "a") }
            _ = try await client.ask("NOTHING")
            _ = try await client.ask("HELLO", "3")
            guard case .verbatim("txt", let bytes) = try await client.ask("INFO", "everything") else {
                throw TestFailure("no verbatim string")
            }
            var fields: [String: String] = [:]
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\r\n") where !line.hasPrefix("#") {
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                try #require(parts.count == 2, "\(line)")
                #expect(fields.updateValue(String(parts[1]), forKey: String(parts[0])) == nil, "\(parts[0]) twice")
            }
            #expect(fields["connected_clients"] == "1" && fields["total_connections_received"] == "1")
            #expect(fields["used_memory"] == "1048576" && fields["blocked_clients"] == "0")
            #expect(fields["total_commands_processed"] == "12" && fields["events_appended"] == "10")
            #expect(fields["db0"] == "keys=10,expires=0,avg_ttl=0")
            #expect(fields["raft_role"] == "leader" && fields["store_state"] == "ok" && fields["role"] == "master")
            #expect(fields["errorstat_ERR"] == "count=1" && fields["total_error_replies"] == "1")
            #expect(fields["cmdstat_eappend"]?.hasPrefix("calls=10,") == true)
            #expect(fields["used_cpu_user"] == "1.500000" && fields["used_cpu_sys"] == "0.250000")
            #expect(try await client.ask("INFO", "nothing").text == "")
            #expect(try await client.ask("INFO", "server").text?.hasPrefix("# Server\r\nredis_version:") == true)
            #expect(try await client.ask("CONFIG", "RESETSTAT") == .simple("OK"))
            #expect(try await client.ask("INFO", "stats").text?.contains("events_appended:0\r\n") == true)
        }
    }

    @Test func aClusterClientFindsOneMasterWithEverySlot() throws {
        try withServedNode { served in
            let client = try await served.connect()
            guard case .array(let ranges) = try await client.ask("CLUSTER", "SLOTS"), case .array(let range) = ranges[0]
            else { throw TestFailure("no slots") }
            #expect(ranges.count == 1 && range[0] == .integer(0) && range[1] == .integer(16_383))
            let id = try await client.ask("CLUSTER", "MYID").text ?? ""
            #expect(id.utf8.count == 40)
            let nodes = try await client.ask("CLUSTER", "NODES").text ?? ""
            #expect(
                nodes.hasPrefix(id) && nodes.contains(" myself,master - ") && nodes.hasSuffix(" connected 0-16383\n"))
            #expect(try await client.ask("CLUSTER", "INFO").text?.contains("cluster_state:ok\r\n") == true)
            // Values that every cluster client computes for itself.
            #expect(try await client.ask("CLUSTER", "KEYSLOT", "foo") == .integer(12_182))
            #expect(try await client.ask("CLUSTER", "KEYSLOT", "{user1000}.following") == .integer(3_443))
            #expect(try await client.ask("CLUSTER", "KEYSLOT", "foo{}{bar}") == .integer(8_363))
            #expect(try await client.ask("CLUSTER", "COUNTKEYSINSLOT", "1") == .integer(0))
        }
    }

    @Test func aPartitionWhoseLogIsDamagedRefusesReadsInsteadOfShowingNothing() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let first = try await ServedNode.open(seams)
            let before = try await first.connect()
            for id in [eventID(1), eventID(2)] { _ = try await before.ask("EAPPEND", "s1", "a", "EVENT_ID", id) }
            await first.close()
            world.disk.damage { $0.flip("node/partitions/0c/00012-0000000001.log", at: 4200, mask: 0x40) }
            let second = try await ServedNode.open(seams)
            let client = try await second.connect()
            for words in [
                ["EPSCAN", "12", "-", "+"], ["EPSEQ", "12"], ["ESCAN", "s1", "-", "+"], ["ESVER", "s1"],
                ["EGET", eventID(1)],
            ] {
                try await client.send(command: words)
                let reply = try await client.reply()
                guard case .error(let text) = reply, text.hasPrefix("PARTNOTOWNED partition 12 is quarantined") else {
                    throw TestFailure("\(words) is answered \(reply)")
                }
            }
            #expect(try await client.ask("EPSEQ", "13") == .null)
            let status = try await client.ask("CORDWOOD.PARTITION", "STATUS", "12")
            #expect(status["state"]?.text == "quarantined")
            #expect(status["damage"]?.text?.contains("partition 12") == true, "\(status)")
            await second.close()
        }
    }

    @Test func anOperatorSeesPartitionsLogAndFloor() throws {
        try withServedNode { served in
            let client = try await served.connect()
            for _ in 0..<3 { _ = try await client.ask("EAPPEND", "s1", "a") }
            let status = try await client.ask("CORDWOOD.PARTITION", "STATUS", "12")
            for (key, value) in [("next", 4), ("logged", 3), ("confirmed", 3), ("applied", 3), ("watermark", 3)] {
                #expect(status[key] == .integer(Int64(value)), "\(key)")
            }
            #expect(status["state"]?.text == "ok" && status["damage"] == nil)
            guard case .array(let listed) = try await client.ask("CORDWOOD.PARTITION", "LIST") else {
                throw TestFailure("no list")
            }
            #expect(listed == [status])
            #expect(try await client.ask("CORDWOOD.PARTITION", "LIST", "STATE", "frozen") == .array([]))
            guard case .error(let text) = try await client.ask("CORDWOOD.PARTITION", "UNFREEZE", "12") else {
                throw TestFailure("unfroze what was not frozen")
            }
            #expect(text.hasPrefix("ERR partition 12 cannot go on"))
            #expect(try await client.ask("CORDWOOD.LOG", "FLUSH") == .simple("OK"))
            let log = try await client.ask("CORDWOOD.LOG", "STATUS")
            #expect(log["state"]?.text == "ok" && log["durable_index"] == log["last_index"])
            #expect(try await client.ask("CORDWOOD.BARRIER", "NOW", "TIMEOUT", "1000", "*") == .simple("OK"))
            guard case .integer(let last)? = log["last_index"] else { throw TestFailure("no last index") }
            let entry = try await client.ask("CORDWOOD.LOG", "EXPLAIN", "\(last)")
            #expect(entry["index"] == .integer(last) && entry["chain"]?.text?.count == 32)
            let beyond = try await client.ask("CORDWOOD.LOG", "EXPLAIN", "\(last + 1)")
            #expect(beyond == .error("NOTFOUND entry \(last + 1) not found in the log"))
            let start = try await client.ask("CORDWOOD.PARTITION", "STATUS", "12", "AT", "0")
            #expect(start["chain"]?["value"]?.text == String(repeating: "0", count: 32))
            let unknown = try await client.ask("CORDWOOD.PARTITION", "STATUS", "12", "AT", "9")
            #expect(unknown["state"]?.text == "ok" && unknown["chain"] == nil)
            #expect(try await client.ask("CORDWOOD.SNAPSHOT", "CREATE", "12")["index"] == .integer(3))
            guard case .array(let snapshots) = try await client.ask("CORDWOOD.SNAPSHOT", "LIST") else {
                throw TestFailure("no list")
            }
            #expect(snapshots.count == 1 && snapshots.first?["events"] == .integer(3))
            #expect(try await client.ask("CORDWOOD.FLOOR")["durable_index"] == log["durable_index"])
            #expect(
                try await client.ask("CORDWOOD.PARTITION", "STATUS", "99")
                    == .error("NOTFOUND partition 99 not found: the node has 32"))
        }
    }

    @Test func aClientMayAskTheNodeToEnd() throws {
        try withServedNode { served in
            var isAsked = false
            served.server.onShutdownRequested = { isAsked = true }
            let client = try await served.connect()
            #expect(
                try await client.ask("CORDWOOD.SHUTDOWN", "LATER")
                    == .error(
                        "INVALIDARG unexpected LATER: expected NOW"))
            #expect(!isAsked)
            #expect(try await client.ask("CORDWOOD.SHUTDOWN") == .simple("OK"))
            #expect(isAsked)
        }
    }
}
