import CordwoodBase
import CordwoodMachine

// Commands on their way to the leader, and how they ended, little-endian.
//
// A request: number of commands (u32), then per command its partition (u64), the acknowledgement (u8), length (u32) and
// payload. An answer: number of outcomes (u32), in the order of the commands, each a kind (u8) and its fields.

/// A command of a client of another node.
struct ForwardedCommand: Hashable {
    var partition: PartitionID
    var acknowledgement: Acknowledgement
    var payload: [UInt8]

    static func encode(_ commands: some Collection<ForwardedCommand>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(commands.reduce(4) { $0 + $1.payload.count + 13 })
        bytes.append(littleEndian: UInt32(commands.count))
        for command in commands {
            bytes.append(littleEndian: command.partition.rawValue)
            bytes.append(command.acknowledgement == .quorum ? 0 : 1)
            bytes.append(littleEndian: UInt32(command.payload.count))
            bytes.append(contentsOf: command.payload)
        }
        return bytes
    }

    static func decode(_ bytes: [UInt8]) throws(DecodeError) -> [ForwardedCommand] {
        try bytes.decoded { (reader) throws(DecodeError) in
            let count = try reader.integer(UInt32.self)
            var commands: [ForwardedCommand] = []
            for _ in 0..<count {
                let partition: PartitionID = try reader.ordinal()
                let code = try reader.integer(UInt8.self)
                guard code <= 1 else { throw .invalid(field: "acknowledgement", value: UInt64(code)) }
                let length = Int(try reader.integer(UInt32.self))
                commands.append(
                    ForwardedCommand(
                        partition: partition, acknowledgement: code == 0 ? .quorum : .durable,
                        payload: [UInt8](try reader.take(length))))
            }
            return commands
        }
    }
}

/// How a forwarded command ended at the leader.
enum ForwardedOutcome: Hashable {
    case applied(RaftIndex, timestampMicroseconds: Int64, ApplyOutcome)
    case durable(RaftIndex)
    case aborted
    /// Never taken into the log; a retry may succeed when it says so.
    case rejected(ForwardRejection)
    case unknown(String)

    static func encode(_ outcomes: [ForwardedOutcome]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(outcomes.count))
        for outcome in outcomes { outcome.encode(into: &bytes) }
        return bytes
    }

    private func encode(into bytes: inout [UInt8]) {
        switch self {
        case .applied(let index, let timestamp, let outcome):
            bytes.append(1)
            bytes.append(littleEndian: index.rawValue)
            bytes.append(littleEndian: timestamp)
            bytes.append(outcome.refused ? 1 : 0)
            bytes.append(littleEndian: outcome.eventCount)
            bytes.append(littleEndian: UInt32(outcome.answer.count))
            bytes.append(contentsOf: outcome.answer)
        case .durable(let index):
            bytes.append(2)
            bytes.append(littleEndian: index.rawValue)
        case .aborted: bytes.append(3)
        case .rejected(let rejection):
            bytes.append(4)
            bytes.append(rejection.kind.rawValue)
            bytes.append(text: rejection.text)
        case .unknown(let text):
            bytes.append(5)
            bytes.append(text: text)
        }
    }

    static func decode(_ bytes: [UInt8]) throws(DecodeError) -> [ForwardedOutcome] {
        try bytes.decoded { (reader) throws(DecodeError) in
            let count = try reader.integer(UInt32.self)
            var outcomes: [ForwardedOutcome] = []
            for _ in 0..<count { outcomes.append(try ForwardedOutcome(from: &reader)) }
            return outcomes
        }
    }

    private init(from reader: inout ByteReader) throws(DecodeError) {
        let kind = try reader.integer(UInt8.self)
        switch kind {
        case 1:
            let index: RaftIndex = try reader.position()
            let timestamp = try reader.integer(Int64.self)
            let isRefused = try reader.integer(UInt8.self) == 1
            let eventCount = try reader.integer(UInt32.self)
            let length = Int(try reader.integer(UInt32.self))
            self = .applied(
                index, timestampMicroseconds: timestamp,
                ApplyOutcome(answer: [UInt8](try reader.take(length)), refused: isRefused, eventCount: eventCount))
        case 2: self = .durable(try reader.position())
        case 3: self = .aborted
        case 4:
            let code = try reader.integer(UInt8.self)
            guard let kind = ForwardRejection.Kind(rawValue: code) else {
                throw .invalid(field: "rejection", value: UInt64(code))
            }
            self = .rejected(ForwardRejection(kind: kind, text: try reader.text()))
        case 5: self = .unknown(try reader.text())
        default: throw .invalid(field: "outcome", value: UInt64(kind))
        }
    }
}

/// Why a leader did not take a command, as far as another node has to know.
public struct ForwardRejection: Hashable, Sendable {
    public enum Kind: UInt8, Sendable {
        /// Somebody else leads by now: ask them.
        case notLeader = 1
        /// May succeed later.
        case busy = 2
        case noSpace = 3
        case frozen = 4
        case poisoned = 5
        case readOnly = 6
        /// Will never succeed.
        case invalid = 7
        case closing = 8
    }

    public var kind: Kind
    public var text: String

    init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }

    init(_ rejection: ProposalRejection) {
        switch rejection {
        case .notLeader: self.init(kind: .notLeader, text: "")
        case .admission(let error):
            if case .noSpace = error {
                self.init(kind: .noSpace, text: "\(error)")
            } else {
                self.init(kind: .busy, text: "\(error)")
            }
        case .relaxedDurability: self.init(kind: .invalid, text: "relaxed durability in a group of several voters")
        case .unsyncedDurability: self.init(kind: .invalid, text: "durability is relaxed")
        case .busy(let text): self.init(kind: .busy, text: text)
        case .tooLarge(let bytes, let limit): self.init(kind: .invalid, text: "\(bytes) bytes, at most \(limit)")
        case .unknownPartition(let partition): self.init(kind: .invalid, text: "no partition \(partition)")
        case .frozen(let partition): self.init(kind: .frozen, text: "partition \(partition) is frozen")
        case .poisoned(let text): self.init(kind: .poisoned, text: text)
        case .readOnly(let text): self.init(kind: .readOnly, text: text)
        case .closing: self.init(kind: .closing, text: "the leader is closing")
        case .forwarded(let rejection): self = rejection
        case .unreachable(let text): self.init(kind: .busy, text: text)
        case .tooManyHops(let text): self.init(kind: .busy, text: text)
        case .circuitOpen: self.init(kind: .busy, text: "the leader cannot be reached")
        }
    }
}
