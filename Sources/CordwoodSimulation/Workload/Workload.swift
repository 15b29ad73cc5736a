import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodVirtual

/// What the clients of one seed do: how many there are, how fast they are, what they ask for, and how unevenly.
struct Workload {
    var partitions: Int
    var streamsPerPartition: Int
    var clients: Int
    /// Longest pause of a client between two operations.
    var pauseNanoseconds: UInt64
    var readPercent: UInt64
    /// Of writes: those that expect something of their stream, and those of several events.
    var conditionalPercent: UInt64
    var transactionPercent: UInt64
    /// Of writes: those with a large payload, and how large it is.
    var largePercent: UInt64
    var largeBytes: UInt64
    /// How often an operation goes to the first stream of the first partition, whatever else was drawn.
    var skewPercent: UInt64
    /// How often a client that does not know what came of a write sends it again.
    var retryPercent: UInt64

    init(_ random: VirtualRandom, partitions: Int?, clients: Int?) {
        self.partitions = partitions ?? Int(random.next(in: 1...6))
        streamsPerPartition = Int(random.next(in: 1...3))
        self.clients = clients ?? Int(random.next(in: 2...5))
        pauseNanoseconds = [20_000_000, 80_000_000, 200_000_000][Int(random.next(below: 3))]
        readPercent = random.next(in: 5...50)
        conditionalPercent = random.next(below: 50)
        transactionPercent = random.next(below: 30)
        largePercent = random.chance(1, in: 3) ? random.next(below: 50) : random.next(below: 10)
        largeBytes = random.next(in: 500...4000)
        skewPercent = random.chance(1, in: 3) ? random.next(in: 50...100) : 0
        retryPercent = random.next(in: 0...100)
    }

    func stream(_ choices: VirtualRandom) -> SimulatedStream {
        if choices.chance(skewPercent, in: 100) { return SimulatedStream(partition: 0, number: 0) }
        return SimulatedStream(
            partition: PartitionID(choices.next(below: UInt64(partitions))),
            number: Int(choices.next(below: UInt64(streamsPerPartition))))
    }

    func isRead(_ choices: VirtualRandom) -> Bool { choices.chance(readPercent, in: 100) }

    func isRetried(_ choices: VirtualRandom) -> Bool { choices.chance(retryPercent, in: 100) }

    /// A command from `serial` on. `known`: how many events the client has seen in the stream.
    func command(_ serial: UInt64, _ stream: SimulatedStream, known: UInt64, _ choices: VirtualRandom) -> WriteCommand {
        var expected = ExpectedVersion.any
        if choices.chance(conditionalPercent, in: 100) {
            expected =
                choices.chance(1, in: 8) ? .exists : known == 0 ? .empty : .exactly(known - 1)
        }
        let count = choices.chance(transactionPercent, in: 100) ? choices.next(in: 2...4) : 1
        let isLarge = choices.chance(largePercent, in: 100)
        return WriteCommand(
            serials: serial..<serial + count, stream: stream, expected: expected,
            payloadBytes: Int(choices.next(below: isLarge ? largeBytes : 64) / count))
    }
}
