import CordwoodBase
import CordwoodMachine

/// What a ledger tells of commands: which were answered, and where they must be; which were only begun, and may be
/// there once.
struct ToldCommands {
    private struct Answered {
        var name: String
        var bytes: [UInt8]
        var answer: UInt64
    }

    private struct Place: Hashable {
        var partition: PartitionID
        var raftIndex: RaftIndex
    }

    private struct Open: Hashable {
        var partition: PartitionID
        var bytes: [UInt8]
    }

    private var answered: [Place: Answered] = [:]
    private var open: [Open: Int] = [:]
    /// How many commands each partition has shown, and the digest of these.
    private var shown: [PartitionID: (count: Int, digest: UInt64)] = [:]
    private var lastIndex: [PartitionID: PartitionLogIndex] = [:]

    init(_ ledger: Ledger, command: (Int, UInt64) -> (PartitionID, [UInt8])) {
        for life in ledger.lives {
            var numbers = Set<UInt64>()
            for how in life.acknowledgements where how.count >= 4 {
                numbers.insert(how[0])
                answered[Place(partition: PartitionID(how[1]), raftIndex: RaftIndex(how[2]))] = Answered(
                    name: "command \(how[0]) of life \(life.seed)", bytes: command(Int(how[0]), life.seed).1,
                    answer: how[3])
            }
            for number in 0..<life.begun where !numbers.contains(UInt64(number + 1)) {
                let (partition, bytes) = command(number + 1, life.seed)
                open[Open(partition: partition, bytes: bytes), default: 0] += 1
            }
            guard let found = life.found else { continue }
            for (position, offset) in stride(from: 1, to: found.count - 1, by: 2).enumerated() {
                shown[PartitionID(UInt64(position))] = (Int(found[offset]), found[offset + 1])
            }
        }
    }

    /// A partition that was never opened has no command.
    func expectNothing(of partition: PartitionID) throws {
        if let place = answered.keys.first(where: { $0.partition == partition }) {
            throw CrashViolation("partition \(partition) is empty, and entry \(place.raftIndex) was answered")
        }
    }

    /// What an earlier opening has shown stands where it stood.
    func expectShown(_ commands: [PartitionCommand], of partition: PartitionID) throws {
        guard let (count, digest) = shown[partition] else { return }
        guard commands.count >= count, ToldCommands.digest(commands.prefix(count)) == digest else {
            throw CrashViolation(
                "partition \(partition) has shown \(count) commands before; now it has \(commands.count), or others")
        }
    }

    /// Takes the next command of its partition's log.
    mutating func take(_ command: PartitionCommand, answer: UInt64) throws {
        let expected = lastIndex[command.partition, default: 0].next
        guard command.partitionIndex == expected else {
            throw CrashViolation(
                "index \(command.partitionIndex) of partition \(command.partition) stands where \(expected) must be")
        }
        lastIndex[command.partition] = expected
        let bytes = Array(command.payload)
        let place = Place(partition: command.partition, raftIndex: command.raftIndex)
        if let told = answered.removeValue(forKey: place) {
            guard told.bytes == bytes else {
                throw CrashViolation("entry \(command.raftIndex) holds another command than \(told.name)")
            }
            guard told.answer == answer else {
                throw CrashViolation("\(told.name) was given another answer than the log leads to")
            }
            return
        }
        let key = Open(partition: command.partition, bytes: bytes)
        guard let left = open[key], left > 0 else {
            throw CrashViolation(
                "entry \(command.raftIndex) of partition \(command.partition) was never proposed, or is there twice")
        }
        open[key] = left - 1
    }

    func expectNothingMissing() throws {
        guard let (place, told) = answered.min(by: { $0.key.raftIndex < $1.key.raftIndex }) else { return }
        throw CrashViolation(
            "\(told.name) was answered, and is not at entry \(place.raftIndex) of partition \(place.partition); "
                + "\(answered.count) are missing")
    }

    /// Over places and bytes, in order.
    static func digest(_ commands: some Sequence<PartitionCommand>) -> UInt64 {
        var digest: UInt64 = 0
        for command in commands {
            digest = command.payload.withUnsafeBytes {
                Checksum.xxh64($0, seed: digest ^ command.raftIndex.rawValue)
            }
        }
        return digest
    }
}
