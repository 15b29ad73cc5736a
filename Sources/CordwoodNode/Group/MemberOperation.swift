public import CordwoodBase

/// What an operator does to the group. Operations name nodes; the configuration maps a name to its present replica.
public enum MemberOperation: Hashable, Sendable {
    /// Adds a node as a learner. `node` is the directory that asks for it; `.none` when an operator announces a node
    /// that will come later.
    case add(name: String, address: String, node: UniqueID)
    /// A learner becomes a voter, once it has caught up.
    case promote(name: String)
    case demote(name: String)
    case remove(name: String)
    /// A caught-up learner takes a voter's place in one step.
    case replace(old: String, new: String)
    /// The node is reached at another address from now on.
    case move(name: String, address: String)
    /// Hands leadership over; to the voter that is furthest when no name is given.
    case transfer(name: String?)
    /// Leaves a joint configuration that was entered to be left on request.
    case leaveJoint
}

/// What came of it.
public struct MemberOperationResult: Hashable, Sendable {
    public var replica: ReplicaID
    /// The configuration entry that is in force now.
    public var configurationIndex: RaftIndex
}

/// Why an operation was not carried out, or why it is not known whether it was.
public enum MemberOperationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Somebody else leads; `nil` when nobody is known to.
    case notLeader(ReplicaID?)
    /// It must not be done as things are; the text says why.
    case notAllowed(String)
    /// It cannot be done at this moment.
    case busy(String)
    /// It may or may not take effect.
    case unknown(String)

    public var description: String {
        switch self {
        case .notLeader(let leader): leader.map { "replica \($0) leads" } ?? "nobody is known to lead"
        case .notAllowed(let text), .busy(let text), .unknown(let text): text
        }
    }

    /// The refusal on the wire between nodes; that of a node that does not lead names the leader's id.
    var answer: PeerAnswer {
        if case .notLeader(let leader) = self { return .refused(code: code, leader.map { "\($0)" } ?? "") }
        return .refused(code: code, description)
    }

    var code: UInt16 {
        switch self {
        case .notLeader: 1
        case .notAllowed: 2
        case .busy: 3
        case .unknown: 4
        }
    }

    static let notAllowedCode: UInt16 = 2
    static let malformedCode: UInt16 = 5

    init(code: UInt16, _ text: String) {
        switch code {
        case 1: self = .notLeader(UInt64(text).map { ReplicaID($0) })
        case 2: self = .notAllowed(text)
        case 3: self = .busy(text)
        default: self = .unknown(text)
        }
    }
}

// Wire form, little-endian: a kind (u8) and its texts and ids in order.

extension MemberOperation {
    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .add(let name, let address, let node):
            bytes.append(1)
            bytes.append(text: name)
            bytes.append(text: address)
            bytes.append(node)
        case .promote(let name):
            bytes.append(2)
            bytes.append(text: name)
        case .demote(let name):
            bytes.append(3)
            bytes.append(text: name)
        case .remove(let name):
            bytes.append(4)
            bytes.append(text: name)
        case .replace(let old, let new):
            bytes.append(5)
            bytes.append(text: old)
            bytes.append(text: new)
        case .move(let name, let address):
            bytes.append(6)
            bytes.append(text: name)
            bytes.append(text: address)
        case .transfer(let name):
            bytes.append(7)
            bytes.append(text: name ?? "")
        case .leaveJoint: bytes.append(8)
        }
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let kind = try reader.integer(UInt8.self)
            switch kind {
            case 1: return .add(name: try reader.text(), address: try reader.text(), node: try reader.uniqueID())
            case 2: return .promote(name: try reader.text())
            case 3: return .demote(name: try reader.text())
            case 4: return .remove(name: try reader.text())
            case 5: return .replace(old: try reader.text(), new: try reader.text())
            case 6: return .move(name: try reader.text(), address: try reader.text())
            case 7:
                let name = try reader.text()
                return .transfer(name: name.isEmpty ? nil : name)
            case 8: return .leaveJoint
            default: throw .invalid(field: "operation", value: UInt64(kind))
            }
        }
    }
}

extension MemberOperationResult {
    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: replica.rawValue)
        bytes.append(littleEndian: configurationIndex.rawValue)
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            MemberOperationResult(replica: try reader.position(), configurationIndex: try reader.position())
        }
    }
}
