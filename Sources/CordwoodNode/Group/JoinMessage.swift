import CordwoodBase
import CordwoodIO

/// What a node without a log asks of others.
enum JoinRequest: Hashable {
    /// "I found this group with you, and this is my directory." `shape` is a hash of what the founders were told.
    case found(shape: UInt64, name: String, node: UniqueID)
    /// "Take me in as a learner."
    case join(name: String, address: String, node: UniqueID)

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .found(let shape, let name, let node):
            bytes.append(1)
            bytes.append(littleEndian: shape)
            bytes.append(text: name)
            bytes.append(node)
        case .join(let name, let address, let node):
            bytes.append(2)
            bytes.append(text: name)
            bytes.append(text: address)
            bytes.append(node)
        }
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let kind = try reader.integer(UInt8.self)
            switch kind {
            case 1:
                let shape = try reader.integer(UInt64.self)
                return .found(shape: shape, name: try reader.text(), node: try reader.uniqueID())
            case 2:
                return .join(name: try reader.text(), address: try reader.text(), node: try reader.uniqueID())
            default: throw .invalid(field: "join request", value: UInt64(kind))
            }
        }
    }
}

/// What it is answered, where it is not refused.
enum JoinAnswer: Hashable {
    /// "I am a founder too, and this is my directory."
    case founding(node: UniqueID)
    /// "You belong here."
    case admitted(Admission)

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .founding(let node):
            bytes.append(1)
            bytes.append(node)
        case .admitted(let admission):
            bytes.append(2)
            admission.encode(into: &bytes)
        }
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let kind = try reader.integer(UInt8.self)
            switch kind {
            case 1: return .founding(node: try reader.uniqueID())
            case 2: return .admitted(try Admission(from: &reader))
            default: throw .invalid(field: "join answer", value: UInt64(kind))
            }
        }
    }
}
