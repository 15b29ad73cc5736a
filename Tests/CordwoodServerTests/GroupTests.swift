import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP
import CordwoodRaft
import Testing

@testable import CordwoodServer

/// A group of nodes as its clients and operators meet it.
@Suite("A group serves") struct GroupTests {
    private static func version(_ reply: RESPValue) -> Int64? {
        if case .integer(let version)? = reply["stream_version"] { version } else { nil }
    }

    private static func code(_ reply: RESPValue) -> String? {
        if case .error(let text) = reply { text.split(separator: " ").first.map(String.init) } else { nil }
    }

    private static func names(_ reply: RESPValue?) -> [String]? {
        if case .array(let values)? = reply { values.compactMap(\.text) } else { nil }
    }

    private static func member(_ name: String, of status: RESPValue) -> RESPValue? {
        guard case .array(let members)? = status["members"] else { return nil }
        return members.first { $0["node"]?.text == name }
    }

    // MARK: Clients

    @Test func everyNodeTakesEveryCommandAndShowsItsClientTheirOwnWrites() throws {
        try withServedGroup { group in
            _ = try await group.leader()
            var next: Int64 = 0
            for name in ["a", "b", "c", "b", "a"] {
                let client = try await group.client(name)
                #expect(Self.version(try await client.ask("EAPPEND", "s1", "e")) == next)
                #expect(try await client.ask("ESVER", "s1") == .integer(next))
                next += 1
            }
        }
    }

    @Test func aWriteWaitsForTheNextLeader() throws {
        try withServedGroup { group in
            let follower = try await group.client(try await group.followers()[0])
            #expect(Self.version(try await follower.ask("EAPPEND", "s1", "e")) == 0)
            await group.stop(try await group.leader())
            #expect(Self.version(try await follower.ask("EAPPEND", "s1", "e")) == 1)
            #expect(try await follower.ask("ESVER", "s1") == .integer(1))
        }
    }

    @Test func withoutAQuorumWritesAndLinearizableReadsSayWhatIsKnown() throws {
        try withServedGroup { group in
            let survivor = try await group.followers()[0]
            let client = try await group.client(survivor)
            #expect(Self.version(try await client.ask("EAPPEND", "s1", "e")) == 0)
            for name in ["a", "b", "c"] where name != survivor { await group.stop(name) }
            try await group.until("the leader is missed") { group.nodes[survivor]?.node.status.leader == nil }
            #expect(try await client.ask("EAPPEND", "s1", "e") == .error("CLUSTERDOWN No raft leader"))
            #expect(try await client.ask("CLUSTER", "SLOTS") == .error("CLUSTERDOWN No raft leader"))
            // What was shown is still shown.
            #expect(try await client.ask("ESVER", "s1") == .integer(0))
            #expect(try await client.ask("CORDWOOD.READMODE", "LINEARIZABLE") == .simple("OK"))
            #expect(try await client.ask("ESVER", "s1") == .error("CLUSTERDOWN No raft leader"))
            #expect(try await client.ask("DBSIZE") == .error("CLUSTERDOWN No raft leader"))
            #expect(try await client.ask("CORDWOOD.READMODE", "LOCAL") == .simple("OK"))
            #expect(try await client.ask("ESVER", "s1") == .integer(0))
        }
    }

    @Test func aLinearizableReadShowsWhatWasAcknowledgedElsewhere() throws {
        try withServedGroup { group in
            let leader = try await group.client(try await group.leader())
            let readers = try await group.followers()
            var clients: [TestClient] = []
            for name in readers {
                let client = try await group.client(name)
                #expect(try await client.ask("CORDWOOD.READMODE", "LINEARIZABLE") == .simple("OK"))
                clients.append(client)
            }
            for version in 0..<20 {
                #expect(Self.version(try await leader.ask("EAPPEND", "s1", "e")) == Int64(version))
                for client in clients { #expect(try await client.ask("ESVER", "s1") == .integer(Int64(version))) }
            }
            #expect(
                try await leader.ask("CORDWOOD.READMODE", "LEASE")
                    == .error("INVALIDARG LEASE needs raft.clock-drift, which bounds how clocks run apart"))
        }
    }

    @Test func aRestartedMemberRefusesLocalReadsUntilItShowsWhatItShowed() throws {
        try withServedGroup { group in
            let restarted = try await group.followers()[0]
            let writer = try await group.client(restarted)
            for _ in 0..<3 { _ = try await writer.ask("EAPPEND", "s1", "e") }
            #expect(try await writer.ask("ESVER", "s1") == .integer(2))
            for name in ["a", "b", "c"] { await group.stop(name) }

            // Alone it has no quorum, so it cannot know what it may have shown.
            try await group.start(restarted)
            let client = try await group.client(restarted)
            for words in [["ESVER", "s1"], ["ESCAN", "s1", "-", "+"], ["EPSEQ", "0"], ["DBSIZE"]] {
                try await client.send(command: words)
                #expect(
                    try await client.reply()
                        == .error("LOADING Cordwood is recovering: waiting for the leader 0%"), "\(words)")
            }
            #expect(try await client.ask("PING") == .simple("PONG"))
            #expect(try await client.ask("CORDWOOD.CLUSTER", "STATUS")["node"]?.text == restarted)
            #expect(try await client.ask("INFO", "raft").text?.contains("raft_state:loading") == true)

            for name in ["a", "b", "c"] where name != restarted { try await group.start(name) }
            try await group.until("local reads are served") { try await client.ask("ESVER", "s1") == .integer(2) }
            #expect(try await client.ask("INFO", "raft").text?.contains("raft_state:up") == true)
        }
    }

    @Test func aClientIsToldWhereTheLeaderIsIfThatIsWanted() throws {
        try withServedGroup(["a", "b", "c"], ["--network-routing", "moved"]) { group in
            let leader = try await group.leader()
            let slot = Array("s1".utf8).withUnsafeBytes { KeySlot.slot(of: $0) }
            let client = try await group.client(try await group.followers()[0])
            try await group.until("the leader's clients' address is known") {
                try await client.ask("EAPPEND", "s1", "e") == .error("MOVED \(slot) \(leader):6000")
            }
            #expect(try await client.ask("CORDWOOD.CLUSTER", "TRANSFER") == .error("MOVED 0 \(leader):6000"))
            #expect(try await client.ask("ESVER", "s1") == .null)
            #expect(try await client.ask("CORDWOOD.READMODE", "LINEARIZABLE") == .simple("OK"))
            #expect(try await client.ask("ESVER", "s1") == .error("MOVED \(slot) \(leader):6000"))
            #expect(try await client.ask("READONLY") == .simple("OK"))
            #expect(try await client.ask("ESVER", "s1") == .null)
            #expect(try await client.ask("HELLO")["mode"]?.text == "cluster")
            let there = try await group.client(leader)
            #expect(Self.version(try await there.ask("EAPPEND", "s1", "e")) == 0)
        }
    }

    @Test func clusterClientsFindTheLeaderFirstAndEveryReplica() throws {
        try withServedGroup { group in
            let leader = try await group.leader()
            let client = try await group.client(try await group.followers()[0])
            func hosts(_ slots: RESPValue) -> [String] {
                guard case .array(let ranges) = slots, case .array(let range)? = ranges.first else { return [] }
                return range.dropFirst(2).compactMap {
                    if case .array(let node) = $0 { node.first?.text } else { nil }
                }
            }
            try await group.until("all are known") {
                let found = hosts(try await client.ask("CLUSTER", "SLOTS"))
                return found.first == leader && Set(found) == ["a", "b", "c"]
            }
            let lines = try await client.ask("CLUSTER", "NODES").text?.split(separator: "\n") ?? []
            #expect(lines.count == 3)
            #expect(lines.filter { $0.contains(" 0-16383") && $0.contains("master") }.count == 1)
            #expect(lines.filter { $0.contains("myself,slave") }.count == 1)
            let id = lines.first { $0.contains("master") }?.split(separator: " ").first.map(String.init) ?? ""
            #expect(id.count == 40)
            guard case .array(let replicas) = try await client.ask("CLUSTER", "REPLICAS", id) else {
                throw TestFailure("no list of replicas")
            }
            #expect(replicas.count == 2)
            let info = try await client.ask("CLUSTER", "INFO").text ?? ""
            #expect(info.contains("cluster_known_nodes:3") && info.contains("cluster_state:ok"))
            let replication = try await client.ask("INFO", "replication").text ?? ""
            #expect(replication.contains("master_host:\(leader)\r\nmaster_port:6000\r\nmaster_link_status:up"))
        }
    }

    // MARK: Operators

    @Test func everyNodeShowsTheWholeGroup() throws {
        try withServedGroup { group in
            let leader = try await group.leader()
            for name in ["a", "b", "c"] {
                let client = try await group.client(name)
                try await group.until("node \(name) knows the others") {
                    let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                    return ["a", "b", "c"].allSatisfy { other in
                        let state = other == leader ? "leader" : "follower"
                        let member = Self.member(other, of: status)
                        return member?["state"]?.text == state && member?["client_addr"]?.text == "\(other):6000"
                    }
                }
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                #expect(status["leader"]?.text == leader)
                #expect(Self.names(status["config"]?["voters"]) == ["a", "b", "c"])
                #expect(Self.member("b", of: status)?["replica_id"] == .integer(2))
                #expect(Self.member("b", of: status)?["addr"]?.text == "b:7001")
            }
        }
    }

    @Test func leadershipIsHandedOverFromAnyNode() throws {
        try withServedGroup { group in
            let target = try await group.followers()[1]
            let client = try await group.client(try await group.followers()[0])
            let reply = try await client.ask("CORDWOOD.CLUSTER", "TRANSFER", target)
            #expect(reply["node"]?.text == target)
            #expect(try await group.leader() == target)
            #expect(
                try await client.ask("CORDWOOD.CLUSTER", "TRANSFER", "z")
                    == .error("INVALIDARG no node 'z' in the group"))
            let former = try await group.client(target)
            #expect(try await former.ask("CORDWOOD.CLUSTER", "STEPDOWN") == .simple("OK"))
            #expect(group.nodes[target]?.node.isLeader == false)
            #expect(Self.version(try await former.ask("EAPPEND", "s1", "e")) == 0)
        }
    }

    @Test func aRemovalIsConfirmedAndEndsTheReplicaForGood() throws {
        try withServedGroup { group in
            let removed = try await group.followers()[0]
            let client = try await group.client(try await group.followers()[1])
            let asked = try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed)
            #expect(asked["effect"]?.text?.contains("of 3 voters 2 remain") == true)
            let token = asked["token"]?.text ?? ""
            #expect(group.nodes[removed]?.node.membership.members.count == 3)
            #expect(
                Self.code(try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed, "CONFIRM", "00")) == "NOTFOUND")
            let reply = try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed, "CONFIRM", token)
            #expect(reply["node"] != nil, "\(reply)")
            try await group.until("the removal is known") {
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                return Self.names(status["config"]?["voters"])?.contains(removed) == false
                    && Self.member(removed, of: status) == nil
            }
            #expect(
                Self.code(try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed, "CONFIRM", token)) == "NOTFOUND")
            await group.stop(removed)
            #expect(Self.version(try await client.ask("EAPPEND", "s1", "e")) == 0)
        }
    }

    @Test func aMemberThatWasRemovedWhileItWasAwayTellsItsClientsSoForGood() throws {
        try withServedGroup { group in
            let removed = try await group.followers()[0]
            let client = try await group.client(try await group.leader())
            await group.stop(removed)
            let asked = try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed)
            let token = asked["token"]?.text ?? ""
            _ = try await client.ask("CORDWOOD.CLUSTER", "REMOVE", removed, "CONFIRM", token)

            let node = try await group.start(removed).node
            try await group.until("it learns of its removal") { node.isRemoved }
            let stranger = try await group.client(removed)
            for words in [
                ["EAPPEND", "s1", "e"], ["ESVER", "s1"], ["EPSCAN", "0", "-", "+"], ["DBSIZE"],
                ["CORDWOOD.BARRIER", "NOW", "TIMEOUT", "100", "*"], ["CORDWOOD.CLUSTER", "ADD", "d", "d:7001"],
            ] {
                try await stranger.send(command: words)
                #expect(
                    try await stranger.reply()
                        == .error(
                            "REMOVED this member was removed from the group for good: ask one that is in it"),
                    "\(words)")
            }
            #expect(try await stranger.ask("PING") == .simple("PONG"))
            #expect(try await stranger.ask("CORDWOOD.CLUSTER", "STATUS")["role"]?.text == "removed")
            let info = try await stranger.ask("INFO").text ?? ""
            for line in ["raft_state:removed", "raft_role:removed", "cluster_state:fail", "loading:0"] {
                #expect(info.contains(line + "\r\n"), "\(line)")
            }
        }
    }

    @Test func damageIsLookedForByAJobAndMendedAtAnOperatorsWord() throws {
        try withServedGroup { group in
            let name = try await group.leader()
            let client = try await group.client(name)
            let other = try await group.followers()[0]
            for number in 0..<20 { _ = try await client.ask("EAPPEND", "s\(number)", "e") }
            #expect(try await client.ask("CORDWOOD.VERIFY", "AGAINST", other).text == "1")
            var job = try await client.ask("CORDWOOD.JOB", "1")
            while job["state"]?.text == "running" {
                await group.seams.clock.sleep(nanoseconds: 10_000_000)
                job = try await client.ask("CORDWOOD.JOB", "1")
            }
            #expect(job["state"]?.text == "done")
            #expect(job["problems"] == .array([]))
            let asked = try await client.ask("CORDWOOD.REPAIR", "0", "1", "5", "FROM", other)
            let token = try #require(asked["token"]?.text)
            let reply = try await client.ask("CORDWOOD.REPAIR", "0", "1", "5", "FROM", other, "CONFIRM", token)
            #expect(reply.text == "OK")
            let node = try #require(group.nodes[name]?.node)
            try await group.until("the partition is made whole") { node.damagedPartitions.isEmpty }
            #expect(node.repairedPartitions == 1)
            #expect(Self.code(try await client.ask("CORDWOOD.JOB", "7")) == "NOTFOUND")
        }
    }

    @Test func whatTheGroupCannotDoIsRefusedWithItsReason() throws {
        try withServedGroup { group in
            let leader = try await group.leader()
            let client = try await group.client(leader)
            for (words, text) in [
                (["PROMOTE", "z"], "INVALIDARG no node 'z' in the group"),
                (["ADD", "d", "nowhere"], "INVALIDARG 'nowhere' is no address"),
                (["ADD", "a", "a:7001"], "INVALIDARG 'a' is replica 1 already"),
                (["LEAVE"], "INVALIDARG the configuration is not joint"),
                (["REMOVE", "z"], "NOTFOUND node z not found in the group"),
                (["FOUND"], "ERR unknown subcommand 'FOUND'. Try CORDWOOD.CLUSTER HELP."),
            ] {
                try await client.send(command: ["CORDWOOD.CLUSTER"] + words)
                #expect(try await client.reply() == .error(text))
            }
        }
    }

    @Test func aNodeJoinsCatchesUpAndVotes() throws {
        try withServedGroup { group in
            let client = try await group.client("a")
            for version in 0..<50 {
                #expect(Self.version(try await client.ask("EAPPEND", "s1", "e")) == Int64(version))
            }
            try await group.start("d", joining: "b")
            let there = try await group.client("d")
            try await group.until("the newcomer serves reads") {
                try await there.ask("ESVER", "s1") == .integer(49)
            }
            try await group.until("the newcomer votes") {
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                return Self.names(status["config"]?["voters"]) == ["a", "b", "c", "d"]
            }
            #expect(Self.version(try await there.ask("EAPPEND", "s1", "e")) == 50)
            let reply = try await there.ask("CORDWOOD.CLUSTER", "DEMOTE", "d")
            #expect(reply["replica_id"] == .integer(4), "\(reply)")
        }
    }

    @Test func aNewNodeTakesAVotersPlaceInOneStep() throws {
        try withServedGroup { group in
            let client = try await group.client("a")
            for _ in 0..<10 { _ = try await client.ask("EAPPEND", "s1", "e") }
            try await group.start("d", joining: "b", ["--cluster-join-as", "learner"])
            try await group.until("the newcomer learns") {
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                return Self.member("d", of: status)?["state"]?.text == "learner"
            }
            let words = ["CORDWOOD.CLUSTER", "REPLACE", "c", "d", "d:7001"]
            try await client.send(command: words)
            let asked = try await client.reply()
            #expect(asked["effect"]?.text?.contains("in place of 'c'") == true, "\(asked)")
            try await client.send(command: words + ["CONFIRM", asked["token"]?.text ?? ""])
            let reply = try await client.reply()
            #expect(reply["node"]?.text == "d", "\(reply)")
            try await group.until("d votes and c is gone") {
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                return Self.names(status["config"]?["voters"]) == ["a", "b", "d"]
                    && Self.member("c", of: status) == nil
            }
            await group.stop("c")
            #expect(Self.version(try await client.ask("EAPPEND", "s1", "e")) == 10)
        }
    }

    @Test func aNodeIsAnnouncedBeforeItComes() throws {
        try withServedGroup { group in
            let client = try await group.client(try await group.followers()[0])
            let added = try await client.ask("CORDWOOD.CLUSTER", "ADD", "d", "d:7001", "LEARNER")
            #expect(added["replica_id"] == .integer(4), "\(added)")
            try await group.until("it is known") {
                let status = try await client.ask("CORDWOOD.CLUSTER", "STATUS")
                return Self.member("d", of: status)?["state"]?.text == "announced"
            }
            #expect(Self.code(try await client.ask("CORDWOOD.CLUSTER", "PROMOTE", "d")) == "TRYAGAIN")
            try await group.start("d", joining: "a", ["--cluster-join-as", "learner"])
            let promoted = try await client.ask("CORDWOOD.CLUSTER", "PROMOTE", "d")
            #expect(promoted["replica_id"] == .integer(4), "\(promoted)")
        }
    }
}
