import CordwoodRESP
import Testing

/// Requests and the exact bytes that answer them, one connection from its beginning.
struct Transcript {
    var lines: [(request: String, reply: String)]

    /// Plays the transcript and compares every byte.
    func play(_ flags: [String] = []) throws {
        let lines = lines
        try withServedNode(flags) { served in
            let client = try await served.connect()
            for (request, reply) in lines {
                try await client.send(request)
                #expect(try await client.bytes(reply.utf8.count) == reply, "after \(request.debugDescription)")
            }
        }
    }
}

@Suite("Transcripts") struct TranscriptTests {
    @Test func aNewcomerSaysHello() throws {
        try Transcript(lines: [
            ("PING\r\n", "+PONG\r\n"),
            ("*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n"),
            ("*2\r\n$4\r\necho\r\n$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            ("HELLO\r\n", hello("*18", 2)), ("HELLO 3 SETNAME me\r\n", hello("%9", 3)),
            ("CLIENT GETNAME\r\n", "$2\r\nme\r\n"),
            ("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n"),
            ("RESET\r\n", "+RESET\r\n"),
            ("CLIENT GETNAME\r\n", "$-1\r\n"),
            ("SELECT 0\r\n", "+OK\r\n"),
            ("SELECT 1\r\n", "-ERR DB index is out of range\r\n"),
            ("ACL WHOAMI\r\n", "$7\r\ndefault\r\n"),
            ("READONLY\r\n", "+OK\r\n"), ("READWRITE\r\n", "+OK\r\n"), ("ASKING\r\n", "+OK\r\n"),
            ("QUIT\r\n", "+OK\r\n"),
        ]).play()
    }

    @Test func whatIsNoCommandIsRefused() throws {
        try Transcript(lines: [
            ("*0\r\n", "-ERR empty command\r\n"),
            ("foo a \"b\\n\"\r\n", "-ERR unknown command 'foo', with args beginning with: 'a' 'b?' \r\n"),
            ("ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n"),
            ("MULTI\r\n", "-ERR unknown command 'MULTI', with args beginning with: ; see EMAPPEND\r\n"),
            ("SUBSCRIBE a\r\n", "-ERR unknown command 'SUBSCRIBE', with args beginning with: 'a' ; see ESUB\r\n"),
            (
                "ESUB s1\r\n",
                "-ERR unknown command 'ESUB', with args beginning with: 's1' ; this version serves no subscriptions\r\n"
            ),
            (
                "CLIENT MAINT_NOTIFICATIONS ON\r\n",
                "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"
            ),
            ("CLIENT SETINFO LIB-NAME redis-py\r\n", "+OK\r\n"),
            (
                "CLIENT SETNAME \"a b\"\r\n",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
            ),
            (
                "AUTH secret\r\n", "-ERR AUTH called without any password configured for the default user\r\n"
            ),
            ("$4\r\nPING\r\n", "-ERR Protocol error: expected array command\r\n"),
        ]).play()
    }

    @Test func anEventIsAppendedAndReadInRESP2() throws {
        let event =
            "*22\r\n+event_id\r\n+\(eventID(1))\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
            + "+transaction_id\r\n+\(eventID(1))\r\n+partition_sequence\r\n:0\r\n+stream_version\r\n:0\r\n"
            + "+timestamp\r\n:1234\r\n+stream_id\r\n$2\r\ns1\r\n+event_name\r\n$7\r\ncreated\r\n+metadata\r\n$0\r\n\r\n"
            + "+payload\r\n$5\r\nhello\r\n"
        try Transcript(lines: [
            ("ESVER s1\r\n", "$-1\r\n"), ("EPSEQ 12\r\n", "$-1\r\n"), ("EGET \(eventID(1))\r\n", "$-1\r\n"),
            (
                "EAPPEND s1 created PAYLOAD hello EVENT_ID \(eventID(1)) TIMESTAMP 1234 EXPECTED_VERSION EMPTY\r\n",
                "*12\r\n+event_id\r\n+\(eventID(1))\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
                    + "+partition_sequence\r\n:0\r\n+stream_version\r\n:0\r\n+timestamp\r\n:1234\r\n"
            ),
            ("ESVER s1\r\n", ":0\r\n"), ("EPSEQ 12\r\n", ":0\r\n"), ("EPSEQ \(keyOfS1)\r\n", ":0\r\n"),
            ("EGET \(eventID(1))\r\n", event),
            ("ESCAN s1 - +\r\n", "*4\r\n+has_more\r\n:0\r\n+events\r\n*1\r\n" + event),
            ("EPSCAN 12 0 0 COUNT 1\r\n", "*4\r\n+has_more\r\n:0\r\n+events\r\n*1\r\n" + event),
            ("ESCAN s1 1 +\r\n", "*4\r\n+has_more\r\n:0\r\n+events\r\n*0\r\n"),
            ("DBSIZE\r\n", ":1\r\n"),
        ]).play()
    }

    @Test func eventsAreAppendedTogetherInRESP3() throws {
        try Transcript(lines: [
            ("HELLO 3\r\n", hello("%9", 3)),
            (
                "EMAPPEND \(keyOfS1) s1 a EVENT_ID \(eventID(1)) TIMESTAMP 5 STREAM payload b EVENT_ID \(eventID(2)) "
                    + "TIMESTAMP 6 METADATA m\r\n",
                "%5\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n+first_partition_sequence\r\n:0\r\n"
                    + "+last_partition_sequence\r\n:1\r\n+events\r\n*2\r\n"
                    + "%4\r\n+event_id\r\n+\(eventID(1))\r\n+stream_id\r\n$2\r\ns1\r\n+stream_version\r\n:0\r\n"
                    + "+timestamp\r\n:5\r\n"
                    + "%4\r\n+event_id\r\n+\(eventID(2))\r\n+stream_id\r\n$7\r\npayload\r\n+stream_version\r\n:0\r\n"
                    + "+timestamp\r\n:6\r\n"
            ),
            ("ESVER payload PARTITION_KEY \(keyOfS1)\r\n", ":0\r\n"),
            ("ESVER payload\r\n", "_\r\n"),
            (
                "EAPPEND s1 c EVENT_ID \(eventID(3)) TIMESTAMP 7 ACK QUORUM\r\n",
                "%7\r\n+event_id\r\n+\(eventID(3))\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
                    + "+partition_sequence\r\n:2\r\n+stream_version\r\n:1\r\n+timestamp\r\n:7\r\n+ack\r\n+QUORUM\r\n"
            ),
            (
                "EPSCAN 12 - + COUNT 1\r\n",
                "%2\r\n+has_more\r\n#t\r\n+events\r\n*1\r\n%11\r\n+event_id\r\n+\(eventID(1))\r\n"
                    + "+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
                    + "+transaction_id\r\n+00000000-0000-0007-36eb-000000000001\r\n"
                    + "+partition_sequence\r\n:0\r\n+stream_version\r\n:0\r\n+timestamp\r\n:5\r\n"
                    + "+stream_id\r\n$2\r\ns1\r\n"
                    + "+event_name\r\n$1\r\na\r\n+metadata\r\n$0\r\n\r\n+payload\r\n$0\r\n\r\n"
            ),
        ]).play()
    }

    private func hello(_ header: String, _ version: Int) -> String {
        "\(header)\r\n$6\r\nserver\r\n$8\r\ncordwood\r\n$7\r\nversion\r\n$5\r\n1.2.3\r\n$5\r\nproto\r\n:\(version)\r\n"
            + "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
            + "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
            + "$7\r\npeer_id\r\n$8\r\ncordwood\r\n$14\r\nnum_partitions\r\n:32\r\n"
    }

    @Test func refusedAppendsSayWhy() throws {
        try Transcript(lines: [
            ("EAPPEND s1 a EVENT_ID \(eventID(1)) TIMESTAMP 1\r\n", appended(1, sequence: 0, version: 0, timestamp: 1)),
            // A repeat is answered as the first time.
            ("EAPPEND s1 a EVENT_ID \(eventID(1)) TIMESTAMP 1\r\n", appended(1, sequence: 0, version: 0, timestamp: 1)),
            (
                "EAPPEND s1 b EVENT_ID \(eventID(1)) TIMESTAMP 1\r\n",
                "-INVALIDARG event id already used by another event\r\n"
            ),
            (
                "EAPPEND s1 a EXPECTED_VERSION EMPTY\r\n",
                "-WRONGVER current stream version is 0 but expected empty for partition key \(keyOfS1) "
                    + "and stream id s1\r\n"
            ),
            (
                "EAPPEND s1 a EXPECTED_VERSION 7\r\n",
                "-WRONGVER current stream version is 0 but expected 7 for partition key \(keyOfS1) and stream id s1\r\n"
            ),
            (
                "EMAPPEND \(keyOfS1) s1 a s2 b EXPECTED_VERSION EXISTS\r\n",
                "-WRONGVER current stream version is empty but expected exists for partition key \(keyOfS1) "
                    + "and stream id s2\r\n"
            ),
            (
                "EAPPEND s2 a EVENT_ID \(eventID(2))\r\n", "-INVALIDARG the event id must embed the partition hash\r\n"
            ),
            (
                "EAPPEND s1 a TIMESTAMP 9223372036855\r\n",
                "-INVALIDARG invalid timestamp format: expected milliseconds, got nanoseconds\r\n"
            ),
            ("EAPPEND s1 a PAYLOAD x PAYLOAD y\r\n", "-INVALIDARG PAYLOAD already specified\r\n"),
            ("EAPPEND s1 a EVENT_ID nonsense\r\n", "-INVALIDARG unexpected nonsense: expected uuid\r\n"),
            ("EAPPEND s1 a PAYLOAD\r\n", "-INVALIDARG unexpected end of command: expected bytes\r\n"),
            ("EAPPEND s1 a SOON\r\n", "-INVALIDARG unexpected SOON: expected an option of EAPPEND\r\n"),
            ("EAPPEND s1\r\n", "-ERR wrong number of arguments for 'eappend' command\r\n"),
            ("EAPPEND \"\" a\r\n", "-INVALIDARG stream id of 0 bytes: must be 1 to 64\r\n"),
            ("EAPPEND \"a\\x00\" a\r\n", "-INVALIDARG stream id must not contain NUL\r\n"),
            (
                "EAPPEND s1 a EXPECTED_VERSION 0 ACK DURABLE\r\n",
                "-INVALIDARG EXPECTED_VERSION needs ACK QUORUM\r\n"
            ),
            (
                "EAPPEND s1 a EXPECTED_VERSION EMPTY ACK BUFFERED\r\n",
                "-INVALIDARG EXPECTED_VERSION needs ACK QUORUM\r\n"
            ),
            (
                "EAPPEND s1 a ACK SOON\r\n",
                "-INVALIDARG unexpected SOON: expected QUORUM, DURABLE or BUFFERED\r\n"
            ),
            ("EAPPEND s1 a EVENT_ID \(eventID(3)) TIMESTAMP 3\r\n", appended(3, sequence: 1, version: 1, timestamp: 3)),
        ]).play()
    }

    @Test func aPartitionStandsStillAndGoesOnAsAnOperatorSays() throws {
        try Transcript(lines: [
            ("EAPPEND s1 a EVENT_ID \(eventID(1)) TIMESTAMP 1\r\n", appended(1, sequence: 0, version: 0, timestamp: 1)),
            ("CORDWOOD.PARTITION FREEZE 12\r\n", "+OK\r\n"), ("CORDWOOD.PARTITION FREEZE 12\r\n", "+OK\r\n"),
            ("EAPPEND s1 a EVENT_ID \(eventID(2)) TIMESTAMP 2\r\n", "-FROZEN partition 12 is frozen\r\n"),
            ("ESVER s1\r\n", ":0\r\n"),
            ("CORDWOOD.PARTITION UNFREEZE 12\r\n", "+OK\r\n"),
            ("EAPPEND s1 a EVENT_ID \(eventID(2)) TIMESTAMP 2\r\n", appended(2, sequence: 1, version: 1, timestamp: 2)),
            (
                "CORDWOOD.PARTITION UNFREEZE 12\r\n",
                "-ERR partition 12 cannot go on: it is not frozen, or its files need a restart\r\n"
            ),
            ("CORDWOOD.PARTITION FREEZE 32\r\n", "-NOTFOUND partition 32 not found: the node has 32\r\n"),
        ]).play()
    }

    @Test func whoAsksForLessIsAnsweredBeforeVersionAndSequenceExist() throws {
        func early(_ id: Int, _ level: String) -> String {
            "*14\r\n+event_id\r\n+\(eventID(id))\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
                + "+partition_sequence\r\n$-1\r\n+stream_version\r\n$-1\r\n+timestamp\r\n:\(id)\r\n"
                + "+ack\r\n+\(level)\r\n"
        }
        try Transcript(lines: [
            ("EAPPEND s1 a EVENT_ID \(eventID(3)) TIMESTAMP 3 ACK DURABLE\r\n", early(3, "DURABLE")),
            ("EAPPEND s1 a EVENT_ID \(eventID(4)) TIMESTAMP 4 ACK BUFFERED\r\n", early(4, "BUFFERED")),
            ("EAPPEND s1 a EVENT_ID \(eventID(5)) TIMESTAMP 5\r\n", appended(5, sequence: 2, version: 2, timestamp: 5)),
        ]).play()
    }

    @Test func aNodeWithoutSyncsSaysSoAndPromisesNoDurability() throws {
        try withServedNode(["--durability-sync", "no"]) { served in
            let client = try await served.connect()
            #expect(try await client.ask("INFO", "persistence").text?.contains("durability:relaxed\r\n") == true)
            #expect(
                try await client.ask("EAPPEND", "s1", "a", "ACK", "DURABLE")
                    == .error("INVALIDARG ACK DURABLE needs durability.sync = yes"))
            _ = try await client.ask("EAPPEND", "s1", "a", "ACK", "BUFFERED")
            _ = try await client.ask("EAPPEND", "s1", "a")
            #expect(try await client.ask("ESVER", "s1") == .integer(1))
        }
        try withServedNode { served in
            let client = try await served.connect()
            #expect(try await client.ask("INFO", "persistence").text?.contains("durability:strict\r\n") == true)
        }
    }

    private func appended(_ id: Int, sequence: Int, version: Int, timestamp: Int) -> String {
        "*12\r\n+event_id\r\n+\(eventID(id))\r\n+partition_key\r\n+\(keyOfS1)\r\n+partition_id\r\n:12\r\n"
            + "+partition_sequence\r\n:\(sequence)\r\n+stream_version\r\n:\(version)\r\n+timestamp\r\n:\(timestamp)\r\n"
    }

    @Test func refusedReadsSayWhy() throws {
        try Transcript(lines: [
            ("ESCAN s1 + -\r\n", "-INVALIDARG unexpected +: expected - or a number\r\n"),
            ("ESCAN s1 - + COUNT 0\r\n", "-INVALIDARG number 0 must not be less than 1\r\n"),
            ("ESCAN s1 - + COUNT 1 COUNT 2\r\n", "-INVALIDARG COUNT already specified\r\n"),
            ("ESCAN s1 - + LIMIT\r\n", "-INVALIDARG unexpected LIMIT: expected PARTITION_KEY or COUNT\r\n"),
            (
                "ESCAN s1 - 99999999999999999999\r\n",
                "-INVALIDARG unexpected 99999999999999999999: expected + or a number\r\n"
            ),
            ("ESCAN s1 -1 +\r\n", "-INVALIDARG unexpected -1: expected - or a number\r\n"),
            ("EPSCAN 32 - +\r\n", "-NOTFOUND partition 32 not found: the node has 32\r\n"),
            ("EPSCAN x - +\r\n", "-INVALIDARG unexpected x: expected a partition or a key\r\n"),
            ("EGET 7\r\n", "-INVALIDARG unexpected 7: expected event id\r\n"),
            ("ESVER s1 x\r\n", "-INVALIDARG unexpected x: expected PARTITION_KEY\r\n"),
        ]).play()
    }

    @Test func strictVersioningRefusesWhatStatesNoVersion() throws {
        let any = "-INVALIDARG strict versioning mode rejects EXPECTED_VERSION any\r\n"
        try Transcript(lines: [
            ("EAPPEND s1 a\r\n", any), ("EAPPEND s1 a EXPECTED_VERSION ANY\r\n", any),
            (
                "EAPPEND s1 a EXPECTED_VERSION EXISTS\r\n",
                "-INVALIDARG strict versioning mode rejects EXPECTED_VERSION exists\r\n"
            ),
            (
                "EAPPEND s1 a EXPECTED_VERSION EMPTY EVENT_ID \(eventID(1)) TIMESTAMP 1\r\n",
                appended(1, sequence: 0, version: 0, timestamp: 1)
            ),
        ]).play(["--append-strict-versioning"])
    }
}
