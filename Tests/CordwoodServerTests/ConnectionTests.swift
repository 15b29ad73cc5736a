import CordwoodIO
import CordwoodRESP
import CordwoodServer
import Testing

@Suite("Connections") struct ConnectionTests {
    @Test func aWriterReadsItsOwnPipelinedWrites() throws {
        try withServedNode { served in
            let client = try await served.connect()
            var pipeline: [UInt8] = []
            for version in 0..<200 {
                pipeline += encoded(["EAPPEND", "s1", "a"]) + encoded(["ESVER", "s1"])
                if version % 7 == 0 { pipeline += encoded(["PING", "\(version)"]) }
                if version % 5 == 0 { pipeline += encoded(["EAPPEND", "s1", "a", "EXPECTED_VERSION", "1000"]) }
            }
            try await client.send(pipeline)
            for version in 0..<200 {
                #expect(try await client.reply()["stream_version"] == .integer(Int64(version)))
                #expect(try await client.reply() == .integer(Int64(version)))
                if version % 7 == 0 { #expect(try await client.reply().text == "\(version)") }
                if version % 5 == 0 {
                    guard case .error(let text) = try await client.reply() else { throw TestFailure("no error") }
                    #expect(text.hasPrefix("WRONGVER current stream version is \(version) "))
                }
            }
        }
    }

    @Test func thousandsOfAppendsMayBeUnderWay() throws {
        try withServedNode { served in
            let client = try await served.connect()
            var pipeline: [UInt8] = []
            for number in 0..<5_000 { pipeline += encoded(["EAPPEND", "stream-\(number % 97)", "a", "PAYLOAD", "x"]) }
            try await client.send(pipeline)
            for number in 0..<5_000 {
                #expect(try await client.reply()["stream_version"] == .integer(Int64(number / 97)))
            }
            #expect(try await client.ask("DBSIZE") == .integer(5_000))
        }
    }

    @Test func requestsSplitAtAnyByteAreAnsweredTheSame() throws {
        let stream =
            encoded(["EAPPEND", "s1", "a", "EVENT_ID", eventID(1), "TIMESTAMP", "1"]) + Array("PING \"a b\"\r\n".utf8)
            + encoded(["ESVER", "s1"]) + encoded(["EAPPEND", "s1"]) + encoded(["QUIT"])
        try withServedNode { served in
            // The append is the same each time, so each repeat is answered as the first.
            func replies(cut: Int) async throws -> String {
                let client = try await served.connect()
                try await client.send(Array(stream[..<cut]))
                await served.seams.clock.sleep(nanoseconds: 1_000_000)
                try await client.send(Array(stream[cut...]))
                return try await client.rest()
            }
            let whole = try await replies(cut: 0)
            #expect(whole.hasSuffix(":0\r\n-ERR wrong number of arguments for 'eappend' command\r\n+OK\r\n"))
            for cut in 1..<stream.count { #expect(try await replies(cut: cut) == whole, "cut at \(cut)") }
        }
    }

    @Test func whatWasAskedBeforeTheClientFinishedIsAnswered() throws {
        try withServedNode { served in
            let client = try await served.connect()
            try await client.send(encoded(["EAPPEND", "s1", "a"]) + encoded(["ESVER", "s1"]) + encoded(["QUIT"]))
            #expect(try await client.rest().hasSuffix(":0\r\n+OK\r\n"))
            #expect(served.server.clientCount == 0)
        }
    }

    @Test func aProtocolErrorIsToldOnceBehindTheRepliesBeforeIt() throws {
        try withServedNode { served in
            let client = try await served.connect()
            try await client.send(encoded(["EAPPEND", "s1", "a"]) + Array("*1\r\n*1\r\n".utf8) + encoded(["PING"]))
            let replies = try await client.rest()
            #expect(replies.hasPrefix("*12\r\n"))
            #expect(replies.hasSuffix("\r\n-ERR Protocol error: nested array in request\r\n"))
        }
    }

    @Test func connectionsBeyondTheLimitAreTurnedAway() throws {
        try withServedNode(["--limits-max-clients", "2"]) { served in
            let first = try await served.connect()
            let second = try await served.connect()
            #expect(try await first.ask("PING") == .simple("PONG"))
            #expect(try await second.ask("PING") == .simple("PONG"))
            let third = try await served.connect()
            #expect(try await third.rest() == "-ERR max number of clients reached\r\n")
            first.close()
            await served.seams.clock.sleep(nanoseconds: 10_000_000)
            let fourth = try await served.connect()
            #expect(try await fourth.ask("PING") == .simple("PONG"))
        }
    }

    @Test func aClientThatDoesNotReadIsPausedAndThenKeptWaiting() throws {
        try withServedNode { served in
            let client = try await served.connect()
            let message = String(repeating: "x", count: 64 << 10)
            served.seams.scheduler.spawn("requests") {
                for _ in 0..<100 { try? await client.send(encoded(["ECHO", message])) }
            }
            await served.seams.clock.sleep(nanoseconds: 1_000_000_000)
            let other = try await served.connect()
            let info = try await other.ask("INFO", "clients").text ?? ""
            // What waits to be sent is bounded although 6 MiB were asked for.
            let waiting = info.split(separator: "\r\n").first { $0.hasPrefix("client_output_bytes:") }
            let bytes = waiting.flatMap { Int($0.dropFirst("client_output_bytes:".count)) }
            #expect((bytes ?? .max) < 2 << 20)
            for _ in 0..<100 { #expect(try await client.reply().text?.utf8.count == 64 << 10) }
        }
    }

    @Test func anIdleConnectionIsClosedWhenThatIsAskedFor() throws {
        try withServedNode(["--limits-idle-timeout", "5s"]) { served in
            let idle = try await served.connect()
            let busy = try await served.connect()
            for _ in 0..<10 {
                await served.seams.clock.sleep(nanoseconds: 1_000_000_000)
                #expect(try await busy.ask("PING") == .simple("PONG"))
            }
            #expect(try await idle.rest() == "")
        }
    }

    @Test func aRequestThatTakesTooLongToArriveClosesItsConnection() throws {
        try withServedNode(["--limits-request-timeout", "2s"]) { served in
            let slow = try await served.connect()
            try await slow.send("*1\r\n$4\r\nPI")
            await served.seams.clock.sleep(nanoseconds: 5_000_000_000)
            #expect(try await slow.rest() == "")
        }
    }

    @Test func aRequestLargerThanTheLimitClosesItsConnection() throws {
        try withServedNode(["--limits-max-frame", "1MiB", "--limits-max-event", "1MiB"]) { served in
            let client = try await served.connect()
            try await client.send("*2\r\n$4\r\nECHO\r\n$1048577\r\n")
            #expect(try await client.rest() == "-ERR Protocol error: request larger than 1048576 bytes\r\n")
        }
    }

    @Test func oneConnectionCanEndAnother() throws {
        try withServedNode { served in
            let first = try await served.connect()
            let second = try await served.connect()
            #expect(try await first.ask("CLIENT", "ID") == .integer(1))
            #expect(try await second.ask("CLIENT", "KILL", "ID", "1") == .integer(1))
            #expect(try await second.ask("CLIENT", "KILL", "ID", "1") == .integer(0))
            #expect(try await first.rest() == "")
        }
    }

    @Test func closingTheServerAnswersWhatWasAsked() throws {
        try withServedNode { served in
            let client = try await served.connect()
            try await client.send(encoded(["EAPPEND", "s1", "a"]))
            await served.seams.clock.sleep(nanoseconds: 1_000_000)
            await served.server.close()
            #expect(try await client.rest().hasPrefix("*12\r\n+event_id\r\n"))
            #expect(served.server.clientCount == 0)
        }
    }
}
