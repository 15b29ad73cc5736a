import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Options as one seed has them: tiny segments, batches and windows next to roomy ones, so that what is rare with the
/// defaults is common in some seed. Half of the seeds draw each option from its odd values.
struct Tuning {
    var segmentBytes: UInt64 = 64 << 10
    var batchBytes = 16 << 10
    var batchRecords = 16_384
    var depth = 1
    var spareSegments = 1
    var cacheBytes = 16 << 10
    var promiseDelayNanoseconds: UInt64 = 20_000_000
    var commitDelayNanoseconds: UInt64 = 0
    var ackGate = AckGate.segmented
    var partitionSegmentBytes: UInt64 = 64 << 10
    var partitionSyncAgeNanoseconds: UInt64 = 200_000_000
    var snapshotBytes = 64 << 20
    var drainCount = 256
    var windowMessages = 4
    var maxAppendBytes: UInt64 = 1 << 20
    var maxUncommittedBytes: UInt64 = 256 << 20
    var inflightEntries = 8192
    var pieceBytes = 1 << 20
    var partitionsAtOnce = 8
    var proposalTicks: UInt32 = 30
    var electionTicks = 10
    var preVote = true
    var sectorBytes = 512
    var supportsDirect = true

    init(_ random: VirtualRandom) {
        func odd<Value>(_ option: WritableKeyPath<Tuning, Value>, _ values: Value...) {
            guard random.chance(1, in: 2), random.chance(1, in: 2) else { return }
            self[keyPath: option] = values[Int(random.next(below: UInt64(values.count)))]
        }
        odd(\.segmentBytes, 128 << 10, 1 << 20)
        odd(\.batchBytes, 4 << 10, 64 << 10)
        odd(\.batchRecords, 1, 3)
        odd(\.depth, 2, 4)
        odd(\.spareSegments, 2, 3)
        odd(\.cacheBytes, 0, 1 << 20)
        odd(\.promiseDelayNanoseconds, 1_000_000, 500_000_000)
        odd(\.commitDelayNanoseconds, 500_000, 5_000_000)
        odd(\.ackGate, .partition)
        odd(\.partitionSegmentBytes, 32 << 10, 1 << 20)
        odd(\.partitionSyncAgeNanoseconds, 10_000_000, 5_000_000_000)
        odd(\.snapshotBytes, 2 << 10, 32 << 10)
        odd(\.drainCount, 1, 3)
        odd(\.windowMessages, 1, 2, 32)
        odd(\.maxAppendBytes, 1 << 10, 10 << 10)
        odd(\.maxUncommittedBytes, 16 << 10)
        odd(\.inflightEntries, 2, 8)
        odd(\.pieceBytes, 512, 8 << 10)
        odd(\.partitionsAtOnce, 1)
        odd(\.proposalTicks, 10, 100)
        odd(\.electionTicks, 5, 20)
        odd(\.preVote, false)
        odd(\.sectorBytes, 4096)
        odd(\.supportsDirect, false)
    }

    var disk: FaultyDisk.Options {
        var options = FaultyDisk.Options()
        options.sectorBytes = sectorBytes
        options.alignmentBytes = sectorBytes
        options.supportsDirect = supportsDirect
        return options
    }

    func apply(to configuration: inout NodeConfiguration) {
        configuration.log.segmentBytes = segmentBytes
        configuration.log.batchBytes = batchBytes
        configuration.log.batchRecords = batchRecords
        configuration.log.depth = depth
        configuration.log.spareSegments = spareSegments
        configuration.log.cacheBytes = cacheBytes
        configuration.log.promiseDelayNanoseconds = promiseDelayNanoseconds
        configuration.log.ackGate = ackGate
        configuration.commitDelayNanoseconds = commitDelayNanoseconds
        configuration.commitIdleDelayNanoseconds = .max
        configuration.maxEntryBytes = 8 << 10
        configuration.partitionSegmentBytes = partitionSegmentBytes
        configuration.partitionSyncAgeNanoseconds = partitionSyncAgeNanoseconds
        configuration.machines.snapshotBytes = snapshotBytes
        configuration.machines.drainCount = drainCount
        configuration.raft.windowMessages = windowMessages
        configuration.raft.maxAppendBytes = maxAppendBytes
        configuration.raft.maxUncommittedBytes = maxUncommittedBytes
        configuration.raft.electionTicks = electionTicks
        configuration.raft.preVote = preVote
        configuration.queue.maxInflightEntries = inflightEntries
        configuration.catchUp.pieceBytes = pieceBytes
        configuration.catchUp.partitionsAtOnce = partitionsAtOnce
        configuration.proposalTicks = proposalTicks
    }
}
