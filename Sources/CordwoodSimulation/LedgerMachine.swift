import CordwoodBase
import CordwoodMachine

/// The state machine of a simulation: a list of serial numbers, one for each command.
///
/// A command is its serial, 8 bytes little-endian, and padding; the answer is the number of serials there are then. It
/// tells the history what it applies, and refuses to be given entries out of order.
final class LedgerMachine: PartitionStateMachine {
    private(set) var serials: [UInt64] = []
    private var lastIndex: PartitionLogIndex = 0
    private let partition: PartitionID
    private let onApply: (PartitionCommand, UInt64) -> Void

    init(_ partition: PartitionID, onApply: @escaping (PartitionCommand, UInt64) -> Void) {
        self.partition = partition
        self.onApply = onApply
    }

    static func command(_ serial: UInt64, padding: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: serial)
        bytes.append(contentsOf: repeatElement(0x2e, count: padding))
        return bytes
    }

    static func count(in answer: [UInt8]) -> UInt64? {
        answer.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            return try? reader.integer(UInt64.self)
        }
    }

    func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
        let serial = try command.payload.withUnsafeBytes { (raw) throws -> UInt64 in
            var reader = ByteReader(raw)
            return try reader.integer(UInt64.self)
        }
        invariant(
            command.partitionIndex == lastIndex.next,
            "partition \(partition) is given entry \(command.partitionIndex) after \(lastIndex)")
        lastIndex = command.partitionIndex
        serials.append(serial)
        onApply(command, serial)
        var answer: [UInt8] = []
        answer.append(littleEndian: UInt64(serials.count))
        return ApplyOutcome(answer: answer, eventCount: 1)
    }

    func snapshot() throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: lastIndex.rawValue)
        for serial in serials { bytes.append(littleEndian: serial) }
        return bytes
    }

    func restore(_ snapshot: [UInt8]) throws {
        serials = []
        lastIndex = 0
        if snapshot.isEmpty { return }
        try snapshot.withUnsafeBytes { (raw) throws in
            var reader = ByteReader(raw)
            lastIndex = try reader.ordinal()
            while reader.remaining > 0 { serials.append(try reader.integer(UInt64.self)) }
        }
    }
}
