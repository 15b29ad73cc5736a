internal import CordwoodBase
internal import CordwoodRaft

/// An entry of the scenario's log, printed as the scripts print it.
struct InteractionEntry: Hashable {
    enum Content: Hashable {
        case normal(String)
        /// A legacy change of one step.
        case oldChange(ConfigurationChange)
        case change(ConfigurationChange)
        /// A change that the core made itself to leave joint consensus: nothing is stored for it.
        case automaticLeave
    }

    var index: RaftIndex = 0
    var term: Term = 0
    var content: Content

    var change: ConfigurationChange? {
        switch content {
        case .normal: nil
        case .oldChange(let change), .change(let change): change
        case .automaticLeave: .leaveJoint
        }
    }

    /// What the appender state machine appends. Changes carry no context here.
    var payload: String {
        if case .normal(let text) = content { text } else { "" }
    }

    var payloadBytes: Int {
        switch content {
        case .normal(let text): text.utf8.count
        case .oldChange: 6
        case .change(let change): 2 + 6 * change.steps.count
        case .automaticLeave: 0
        }
    }

    /// Size in the reference's encoding, by which committed entries are rationed.
    var encodedBytes: Int {
        func varint(_ value: UInt64) -> Int { max(1, (64 - value.leadingZeroBitCount + 6) / 7) }
        let payload = payloadBytes
        return 2 + 1 + varint(term.rawValue) + 1 + varint(index.rawValue)
            + (payload == 0 ? 0 : 1 + varint(UInt64(payload)) + payload)
    }

    var head: EntryHead {
        EntryHead(term: term, size: UInt32(payloadBytes), type: change == nil ? .application : .configuration)
    }

    var text: String {
        let kind =
            switch content {
            case .normal(let text): "EntryNormal " + Self.quoted(text)
            case .oldChange(let change): "EntryConfChange" + Self.notation(change)
            case .change(let change): "EntryConfChangeV2" + Self.notation(change)
            case .automaticLeave: "EntryConfChangeV2"
            }
        return "\(term)/\(index) \(kind)"
    }

    private static func notation(_ change: ConfigurationChange) -> String {
        change.steps.map { " " + $0.notation }.joined()
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\r": quoted += "\\r"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// A snapshot of the appender state machine: everything appended so far, and the configuration.
struct InteractionSnapshot: Hashable {
    var position: LogPosition
    var configuration: GroupConfiguration
    var data: String

    static let none = InteractionSnapshot(
        position: LogPosition(index: 0, term: 0), configuration: GroupConfiguration(), data: "")

    var text: String {
        func list(_ ids: [ReplicaID]) -> String { "[" + ids.map(\.description).joined(separator: " ") + "]" }
        return "Index:\(position.index) Term:\(position.term) ConfState:Voters:\(list(configuration.voters))"
            + " VotersOutgoing:\(list(configuration.outgoing)) Learners:\(list(configuration.learners))"
            + " LearnersNext:\(list(configuration.learnersNext)) AutoLeave:\(configuration.leavesAutomatically)"
    }
}

/// What travels through the environment's one queue.
struct InteractionPacket {
    enum Content {
        case message(RaftMessage, entries: [InteractionEntry])
        case snapshot(RaftMessage, InteractionSnapshot)
        case proposal(RaftMessage, InteractionEntry)
        /// The append thread's report to its own node: what is stable, and the snapshot that is.
        case appendDone(DurabilityToken?, LogPosition?)
        /// The apply thread's report to its own node.
        case applyDone(RaftIndex, bytes: Int)
    }

    var to: ReplicaID
    /// The replica's own, or its storage threads': never lost.
    var isLocal: Bool
    var content: Content

    init(_ message: RaftMessage, entries: [InteractionEntry] = []) {
        to = message.to
        isLocal = message.to == message.from
        content = .message(message, entries: entries)
    }

    init(local to: ReplicaID, _ content: Content) {
        self.to = to
        isLocal = true
        self.content = content
    }

    init(_ message: RaftMessage, _ content: Content) {
        to = message.to
        isLocal = false
        self.content = content
    }

    /// The name that `deliver-msgs type=` selects by.
    var type: String {
        switch content {
        case .message(let message, _), .snapshot(let message, _), .proposal(let message, _):
            message.kind.referenceName
        case .appendDone: "MsgStorageAppendResp"
        case .applyDone: "MsgStorageApplyResp"
        }
    }
}
