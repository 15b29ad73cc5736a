import Foundation

/// What a line of a consensus trace must look like, in the form that etcd's TLA+ trace specification reads.
enum TraceSchema {
    private static let stateNames: Set<String> = [
        "InitState", "BecomeFollower", "BecomeCandidate", "BecomeLeader", "Commit", "Replicate", "ChangeConf",
        "ApplyConfChange", "Ready",
    ]
    private static let messageTypes: [String: Set<String>] = [
        "AppendEntriesRequest": ["MsgApp", "MsgHeartbeat", "MsgSnap"],
        "AppendEntriesResponse": ["MsgAppResp", "MsgHeartbeatResp"], "RequestVoteRequest": ["MsgVote"],
        "RequestVoteResponse": ["MsgVoteResp"],
    ]
    private static let roles: Set<String> = ["StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"]
    private static let messageFields: Set<String> = [
        "type", "term", "from", "to", "entries", "logTerm", "index", "commit", "vote", "reject", "rejectHint",
    ]

    /// What is wrong with a line, `nil` when it is an event.
    static func flaw(in line: Substring) -> String? {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            object["tag"] as? String == "trace", object.count == 2, let event = object["event"] as? [String: Any]
        else { return "no event" }
        guard let name = event["name"] as? String, event["nid"] is String, event["log"] is Int,
            let role = event["role"] as? String, roles.contains(role)
        else { return "name, nid, log or role" }
        guard let state = event["state"] as? [String: Any], state.count == 3, state["term"] is Int,
            state["vote"] is String, state["commit"] is Int
        else { return "state" }
        guard let conf = event["conf"] as? [[String]], conf.count == 2 else { return "conf" }
        let properties = event["prop"] as? [String: Any]
        switch name {
        case "ChangeConf", "ApplyConfChange":
            guard let change = properties?["cc"] as? [String: Any], change["changes"] is [[String: String]],
                (change["newconf"] != nil) == (name == "ApplyConfChange")
            else { return "prop.cc" }
        case "SendAppendEntriesRequest":
            if let properties, !(properties["match"] is Int && properties["next"] is Int) { return "prop" }
        default: if properties != nil { return "prop where none belongs" }
        }
        let kind = name.replacing("Send", with: "").replacing("Receive", with: "")
        guard kind != name else {
            return stateNames.contains(name) && event["msg"] == nil ? nil : "unknown name, or a message"
        }
        guard let message = event["msg"] as? [String: Any], Set(message.keys) == messageFields,
            message["from"] is String, message["to"] is String, message["reject"] is Bool,
            let type = message["type"] as? String, messageTypes[kind]?.contains(type) == true
        else { return "msg" }
        return nil
    }

    /// Checks a whole file and counts its events.
    static func count(in text: String, _ source: String) throws(Violation) -> Int {
        var count = 0
        for line in text.split(separator: "\n") {
            if let flaw = flaw(in: line) {
                throw Violation("a trace has the form of the specification", "\(source): \(flaw): \(line.prefix(400))")
            }
            count += 1
        }
        return count
    }
}
