public import CordwoodBase
public import CordwoodMachine

/// The built-in event store: streams of events with gapless versions, in one partition.
///
/// Apply decides in log order. An accepted command stores all its events: each gets the next partition sequence and
/// the next version of its stream, both from 0 and without gaps. A refused or repeated command stores none. Nothing
/// but the command and the state decides, so every replica and every replay comes to the same result.
///
/// In memory are indexes alone, at most 40 bytes an event; the events themselves stay in the partition log and are read
/// from there. A reader sees the events whose sequence is below the watermark W, on every path by `visibleSequences`.
///
/// The deduplication window is the whole history of the partition: an event id that a client brought is recognised as
/// long as its event is stored.
public final class EventStore: PartitionStateMachine {
    /// Events that a partition can number. Commands beyond it are refused.
    public static let maxEvents = UInt64(UInt32.max) - 1

    let context: MachineContext
    private let ownedIndexes = Owned(EventIndexes())
    /// Index of the last command that was applied.
    public internal(set) var lastAppliedIndex: PartitionLogIndex = 0
    /// Commands recognised as repeats since the machine was opened.
    public internal(set) var duplicateCount: UInt64 = 0

    public init(context: MachineContext) { self.context = context }

    var indexes: EventIndexes {
        _read { yield ownedIndexes.value }
        _modify { yield &ownedIndexes.value }
    }

    /// The store of a partition, for whoever needs a `PartitionStateMachineFactory`.
    public static func machine(_ context: MachineContext) -> AnyPartitionStateMachine {
        .synchronous(EventStore(context: context))
    }

    /// Events stored, those not yet visible included.
    public var eventCount: UInt64 { UInt64(indexes.entries.nextSequence) }
    /// Streams that have an event, visible or not.
    public var streamCount: Int { indexes.streams.count }
    /// Bytes that the indexes take in memory.
    public var indexBytes: Int { indexes.allocatedBytes }

    /// W, as far as this machine has applied.
    public var watermark: UInt64 { min(context.watermark(), eventCount) }

    /// The one rule of visibility: sequences strictly below W. Every read takes it from here, once.
    var visibleSequences: Range<UInt64> { 0..<watermark }
}
