import CordwoodBase
import CordwoodRaft
import Foundation
import Testing

/// The trace in the form that the reference's TLA+ specification reads.
@Suite struct TraceTests {
    private static func run() throws -> [RaftTraceEvent] {
        var group = try Group(3, options: Group.options { $0.traces = true }, boundary: LogPosition(index: 1, term: 1))
        try group.addEmpty(4)
        group.campaign(1)
        group.settle()
        group.propose(1)
        group.propose(1, ConfigurationChange([.addLearner(4)]))
        group.settle()
        group.propose(1, ConfigurationChange([.addVoter(4), .remove(3)]))
        group.settle()
        group.tick(1)
        group.settle()
        group.campaign(2)
        group.settle()
        return group.trace
    }

    @Test func everyLineIsAnEventOfTheSchema() throws {
        let names = Set(RaftTraceEvent.Name.allCases.map(\.rawValue))
        var seen: Set<String> = []
        for event in try Self.run() {
            let line = event.json
            #expect(!line.contains("\n"))
            let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(Set(object.keys) == ["tag", "event"] && object["tag"] as? String == "trace")
            let fields = try #require(object["event"] as? [String: Any])
            let name = try #require(fields["name"] as? String)
            seen.insert(name)
            #expect(names.contains(name))
            #expect(Set(fields.keys).isSubset(of: ["name", "nid", "state", "role", "log", "conf", "msg", "prop"]))
            #expect(fields["nid"] is String && fields["log"] is Int)
            let state = try #require(fields["state"] as? [String: Any])
            #expect(state["term"] is Int && state["vote"] is String && state["commit"] is Int && state.count == 3)
            let roles = ["StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"]
            #expect(roles.contains(try #require(fields["role"] as? String)))
            let halves = try #require(fields["conf"] as? [[String]])
            #expect(halves.count == 2)
            try checkMessage(fields["msg"] as? [String: Any], of: name)
            try checkProperties(fields["prop"] as? [String: Any], of: name)
        }
        #expect(seen == names)
    }

    private func checkMessage(_ message: [String: Any]?, of name: String) throws {
        #expect((message != nil) == (name.hasPrefix("Send") || name.hasPrefix("Receive")))
        guard let message else { return }
        #expect(
            Set(message.keys) == [
                "type", "term", "from", "to", "entries", "logTerm", "index", "commit", "vote", "reject", "rejectHint",
            ])
        #expect(message["from"] is String && message["to"] is String && message["reject"] is Bool)
        let type = try #require(message["type"] as? String)
        let types: [String: Set<String>] = [
            "AppendEntriesRequest": ["MsgApp", "MsgHeartbeat", "MsgSnap"],
            "AppendEntriesResponse": ["MsgAppResp", "MsgHeartbeatResp"], "RequestVoteRequest": ["MsgVote"],
            "RequestVoteResponse": ["MsgVoteResp"],
        ]
        let kind = name.replacing("Send", with: "").replacing("Receive", with: "")
        #expect(types[kind]?.contains(type) == true)
        if type == "MsgSnap" { #expect(message["index"] as? Int == 0 && (message["entries"] as? Int ?? 0) > 0) }
    }

    private func checkProperties(_ properties: [String: Any]?, of name: String) throws {
        switch name {
        case "ChangeConf", "ApplyConfChange":
            let change = try #require(properties?["cc"] as? [String: Any])
            for step in try #require(change["changes"] as? [[String: String]]) {
                #expect(["AddNewServer", "RemoveServer", "AddLearner"].contains(try #require(step["action"])))
            }
            #expect((change["newconf"] != nil) == (name == "ApplyConfChange"))
        case "SendAppendEntriesRequest":
            if let properties { #expect(properties["match"] is Int && properties["next"] is Int) }
        default: #expect(properties == nil)
        }
    }

    @Test func aReplicaBeginsWithItsInitialState() throws {
        let events = try Self.run()
        for id in [1, 2, 3, 4] as [ReplicaID] {
            let own = events.filter { $0.replica == id }
            #expect(own.first?.name == .initState && own.first?.vote == Vote.none)
            #expect(own.dropFirst().first?.name == .becomeFollower)
        }
    }

    @Test func nothingIsKeptUnlessItIsAskedFor() throws {
        var group = try Group(3)
        group.campaign(1)
        group.settle()
        #expect(group.trace.isEmpty)
    }
}
