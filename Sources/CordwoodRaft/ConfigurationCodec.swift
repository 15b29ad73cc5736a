public import CordwoodBase

// Stored and wire form, little-endian. A change: transition (1 byte), number of steps (u16), then per step its kind
// (1 byte) and the replica (8 bytes). A configuration: flags (1 byte, bit 0 = leaves automatically), then four lists,
// each a count (u16) and replicas (8 bytes each): voters, outgoing, learners, next learners.

extension ConfigurationChange {
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = [transition.rawValue]
        bytes.append(littleEndian: UInt16(steps.count))
        for step in steps {
            bytes.append(step.code)
            bytes.append(littleEndian: step.replica.rawValue)
        }
        return bytes
    }

    /// Reads what `encoded` wrote.
    public init(from reader: inout ByteReader) throws(DecodeError) {
        let code = try reader.integer(UInt8.self)
        guard let transition = Transition(rawValue: code) else {
            throw .invalid(field: "transition", value: UInt64(code))
        }
        let count = Int(try reader.integer(UInt16.self))
        var steps: [Step] = []
        for _ in 0..<count {
            let code = try reader.integer(UInt8.self)
            let replica = try reader.position(ReplicaID.self)
            guard let step = Step(code: code, replica: replica) else {
                throw .invalid(field: "configuration step", value: UInt64(code))
            }
            steps.append(step)
        }
        self.init(steps, transition: transition)
    }

    /// Reads what `encoded` wrote, and nothing behind it. An empty payload is the request to leave joint consensus.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        if bytes.isEmpty {
            self = .leaveJoint
            return
        }
        var reader = ByteReader(bytes)
        try self.init(from: &reader)
        guard reader.remaining == 0 else {
            throw .invalid(field: "bytes after a configuration change", value: UInt64(reader.remaining))
        }
    }
}

extension ConfigurationChange.Step {
    fileprivate var code: UInt8 {
        switch self {
        case .addVoter: 1
        case .addLearner: 2
        case .remove: 3
        case .update: 4
        }
    }

    fileprivate init?(code: UInt8, replica: ReplicaID) {
        switch code {
        case 1: self = .addVoter(replica)
        case 2: self = .addLearner(replica)
        case 3: self = .remove(replica)
        case 4: self = .update(replica)
        default: return nil
        }
    }
}

extension GroupConfiguration {
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(leavesAutomatically ? 1 : 0)
        for list in [voters, outgoing, learners, learnersNext] {
            bytes.append(littleEndian: UInt16(list.count))
            for replica in list { bytes.append(littleEndian: replica.rawValue) }
        }
    }

    /// Reads what `encode` wrote and refuses what cannot be a configuration.
    public init(from reader: inout ByteReader) throws(DecodeError) {
        func list(_ reader: inout ByteReader) throws(DecodeError) -> [ReplicaID] {
            let count = Int(try reader.integer(UInt16.self))
            var replicas: [ReplicaID] = []
            for _ in 0..<count { replicas.append(try reader.position()) }
            return replicas
        }
        let flags = try reader.integer(UInt8.self)
        guard flags <= 1 else { throw .invalid(field: "configuration flags", value: UInt64(flags)) }
        let voters = try list(&reader)
        let outgoing = try list(&reader)
        let learners = try list(&reader)
        let learnersNext = try list(&reader)
        self.init(
            voters: voters, outgoing: outgoing, learners: learners, learnersNext: learnersNext,
            leavesAutomatically: flags == 1)
        if let flaw { throw .invalid(field: "configuration: \(flaw)", value: 0) }
    }
}
