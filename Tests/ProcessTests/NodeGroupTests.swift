import Foundation
import ProcessTestSupport
import Testing

/// Several processes as an operator meets them: kills, newcomers, leavers, and directories that do not belong.
@Suite(
    "A group of nodes", .serialized, .timeLimit(.minutes(3)),
    .enabled(if: RedisClients.cli, "redis-cli is not installed"))
struct NodeGroupTests {
    /// An event id that belongs to the default partition of stream `s1`.
    private func eventID(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return "00000000-0000-0007-b6eb-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    @Test("loses nothing that it acknowledged when leaders are killed, and takes them back")
    func survivesItsLeaders() throws {
        let group = try NodeGroup()
        var count = 0
        func append(through names: [String]) throws {
            for name in names {
                #expect(try group.append(name, to: "s1", id: eventID(count)) == "\(count)")
                count += 1
            }
        }
        try append(through: ["a", "b", "c"])
        for _ in 0..<3 {
            let killed = try group.leader()
            group.kill(killed)
            let others = ["a", "b", "c"].filter { $0 != killed }
            try append(through: others + others)
            #expect(try group.leader() != killed)
            try group.start(killed)
            try group.until("\(killed) shows what the others have") {
                try group.cli(killed, "ESVER", "s1") == "\(count - 1)"
            }
            try append(through: [killed])
        }
        for name in ["a", "b", "c"] {
            try group.until("node \(name) has everything") { try group.cli(name, "ESVER", "s1") == "\(count - 1)" }
            let versions = try group.cli(name, "ESCAN", "s1", "-", "+").matches(of: /stream_version\n(\d+)/)
                .map { String($0.1) }
            #expect(versions == (0..<count).map(String.init))
        }
    }

    @Test("takes in a node that becomes a voter and leads, and lets a member go")
    func changesItsMembers() throws {
        let group = try NodeGroup()
        for number in 0..<10 { _ = try group.append("a", to: "s1", id: eventID(number)) }
        try group.start("d", joining: "b")
        try group.until("d has everything") { try group.cli("d", "ESVER", "s1") == "9" }
        try group.until("d votes") { try group.cli("a", "INFO", "raft").contains("raft_num_voting_nodes:4") }

        try group.until("d leads") {
            field("node", of: try group.cli("c", "CORDWOOD.CLUSTER", "TRANSFER", "d")) == "d"
        }
        #expect(try group.leader() == "d")
        #expect(try group.append("b", to: "s1", id: eventID(10)) == "10")

        let asked = try group.cli("b", "CORDWOOD.CLUSTER", "REMOVE", "a")
        #expect(field("effect", of: asked)?.contains("of 4 voters 3 remain") == true, "\(asked)")
        let token = field("token", of: asked) ?? ""
        let removed = try group.cli("b", "CORDWOOD.CLUSTER", "REMOVE", "a", "CONFIRM", token)
        #expect(field("replica_id", of: removed) != nil, "\(removed)")
        try group.until("a is gone") { try group.cli("c", "INFO", "raft").contains("raft_num_nodes:3") }
        group.kill("a")
        #expect(try group.append("c", to: "s1", id: eventID(11)) == "11")
    }

    @Test("refuses a wiped directory under a known name, and takes it once the name was removed")
    func refusesAWipedDirectory() throws {
        let group = try NodeGroup()
        for number in 0..<5 { _ = try group.append("a", to: "s1", id: eventID(number)) }
        let other = try group.leader()
        let wiped = other == "a" ? "b" : "a"
        group.kill(wiped)
        try FileManager.default.removeItem(at: group.data(of: wiped))

        try group.start(wiped, waits: false)
        #expect(group.nodes[wiped]?.exitCode(within: 20) == 78)
        #expect(group.nodes[wiped]?.errors.contains("remove '\(wiped)' from the group") == true)
        try FileManager.default.removeItem(at: group.data(of: wiped))
        let joining = try group.start(wiped, joining: other, waits: false)
        #expect(joining.exitCode(within: 20) == 78)
        #expect(joining.errors.contains("remove it, then add it again"), "\(joining.errors)")

        let asked = try group.cli(other, "CORDWOOD.CLUSTER", "REMOVE", wiped)
        let token = field("token", of: asked) ?? ""
        _ = try group.cli(other, "CORDWOOD.CLUSTER", "REMOVE", wiped, "CONFIRM", token)
        try FileManager.default.removeItem(at: group.data(of: wiped))
        try group.start(wiped, joining: other)
        try group.until("the new replica has everything") { try group.cli(wiped, "ESVER", "s1") == "4" }
        #expect(field("replica_id", of: try group.cli(wiped, "CORDWOOD.CLUSTER", "STATUS")) == "4")
    }

    @Test("refuses a directory that belongs to another group")
    func refusesAnotherGroup() throws {
        let group = try NodeGroup()
        let stranger = try NodeProcess(on: group.data(of: "x"))
        _ = try stranger.cli("EAPPEND", "s1", "happened")
        #expect(stranger.terminate() == 0)
        let joining = try group.start("x", joining: "a", waits: false)
        #expect(joining.exitCode(within: 20) == 78)
        #expect(joining.errors.contains("holds a group of its own"), "\(joining.errors)")
        #expect(try group.cli("a", "INFO", "raft").contains("raft_num_nodes:3"))
    }

    @Test("refuses directories that were exchanged, and goes on when each is back in its place")
    func refusesExchangedDirectories() throws {
        let group = try NodeGroup()
        for number in 0..<5 { _ = try group.append("a", to: "s1", id: eventID(number)) }
        let leader = try group.leader()
        let others = ["a", "b", "c"].filter { $0 != leader }
        func exchange() throws {
            let aside = group.folder.url.appending(path: "aside")
            for name in others { group.kill(name) }
            try FileManager.default.moveItem(at: group.data(of: others[0]), to: aside)
            try FileManager.default.moveItem(at: group.data(of: others[1]), to: group.data(of: others[0]))
            try FileManager.default.moveItem(at: aside, to: group.data(of: others[1]))
        }
        try exchange()
        for (name, other) in [(others[0], others[1]), (others[1], others[0])] {
            try group.start(name, waits: false)
            #expect(group.nodes[name]?.exitCode(within: 20) == 78)
            let said = group.nodes[name]?.errors ?? ""
            #expect(said.contains("belongs to node '\(other)'"), "\(said)")
        }
        try exchange()
        for name in others { try group.start(name) }
        #expect(try group.append(others[0], to: "s1", id: eventID(5)) == "5")
    }

    @Test("does not hear a node on an old copy of a directory whose replica was removed, and that node says so")
    func isNotDisturbedByAnOldBackup() throws {
        let group = try NodeGroup()
        for number in 0..<5 { _ = try group.append("a", to: "s1", id: eventID(number)) }
        let leader = try group.leader()
        let name = leader == "a" ? "b" : "a"
        group.kill(name)
        let backup = group.folder.url.appending(path: "backup")
        try FileManager.default.copyItem(at: group.data(of: name), to: backup)
        try group.start(name)
        let asked = try group.cli(leader, "CORDWOOD.CLUSTER", "REMOVE", name)
        _ = try group.cli(leader, "CORDWOOD.CLUSTER", "REMOVE", name, "CONFIRM", field("token", of: asked) ?? "")
        for number in 5..<10 { _ = try group.append(leader, to: "s1", id: eventID(number)) }
        group.kill(name)
        try FileManager.default.removeItem(at: group.data(of: name))
        try FileManager.default.moveItem(at: backup, to: group.data(of: name))

        try group.start(name)
        let returned = try #require(group.nodes[name])
        try group.until("node \(name) hears that it was removed") {
            returned.errors.contains("this member was removed from the group for good")
        }
        for number in 10..<15 { #expect(try group.append(leader, to: "s1", id: eventID(number)) == "\(number)") }
        #expect(try group.cli(leader, "INFO", "raft").contains("raft_num_voting_nodes:2"))
        #expect(try group.leader(besides: name) == leader)
        #expect(try group.cli(name, "ESVER", "s1").hasPrefix("REMOVED"))
        #expect(try group.cli(name, "EAPPEND", "s1", "happened").hasPrefix("REMOVED"))
        #expect(try group.cli(name, "INFO", "raft").contains("raft_state:removed"))
    }

    /// Each partition log is damaged, each at another place: every record is sound on two of three nodes.
    @Test("mends what is damaged at different places on all its nodes")
    func mendsDamageOnAllNodes() throws {
        let group = try NodeGroup(options: ["--partition-count", "1", "--partition-log-sync-age", "10ms"])
        for number in 0..<40 { _ = try group.append("a", to: "s1", id: eventID(number)) }
        let names = ["a", "b", "c"]
        for name in names { try group.until("\(name) has all") { try group.cli(name, "ESVER", "s1") == "39" } }
        try group.end()
        for (name, place) in zip(names, [20, 50, 80]) {
            let file = group.data(of: name).appending(path: "partitions/00/00000-0000000001.log")
            var bytes = try Data(contentsOf: file)
            let used = try #require(bytes.lastIndex { $0 != 0 })
            // The first eight kilobytes are the header and the record of how the segment began.
            bytes[8192 + (used - 8192) * place / 100] ^= 0x40
            try bytes.write(to: file)
        }
        for name in names { try group.start(name, waits: false) }
        for node in group.nodes.values { try node.waitUntilReady() }
        for name in names {
            try group.until("\(name) has mended its log") {
                let status = try group.cli(name, "CORDWOOD.PARTITION", "STATUS", "0")
                return field("state", of: status) == "ok" && field("persisted", of: status) == "40"
            }
        }
        #expect(try group.append("b", to: "s1", id: eventID(40)) == "40")
        for name in names { try group.until("\(name) has all") { try group.cli(name, "ESVER", "s1") == "40" } }
        try group.end()
        for name in names {
            let verify = try Command(Checkout.program("cordwood-inspect"), "verify", group.data(of: name).path)
            #expect(verify.exitCode == 0, "\(name): \(verify.output)")
        }
    }
}
