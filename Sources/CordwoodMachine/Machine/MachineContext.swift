public import CordwoodBase

/// A machine's only door into the engine: its own partition log, files that can be rebuilt, its watermark and a way to
/// report. The built-in event store gets the same and nothing else.
public struct MachineContext {
    public let partition: PartitionID
    /// Verified reads of the partition's own log: what is applied or about to be.
    public let log: any PartitionLogReading
    /// Small named files that the machine can rebuild when they are gone.
    public let derived: any DerivedFiles
    /// W: the number of events produced by entries that are both confirmed and applied here.
    public let watermark: () -> UInt64
    /// Puts a line into the node's log under this partition's name.
    public let report: (String) -> Void

    public init(
        partition: PartitionID, log: any PartitionLogReading, derived: any DerivedFiles,
        watermark: @escaping () -> UInt64, report: @escaping (String) -> Void
    ) {
        self.partition = partition
        self.log = log
        self.derived = derived
        self.watermark = watermark
        self.report = report
    }
}

/// Verified reads of one partition's log, buffered entries included. Confined to the loop.
public protocol PartitionLogReading: AnyObject {
    /// Lowest index that can be read.
    var startIndex: PartitionLogIndex { get }
    /// Index behind the last one.
    var nextIndex: PartitionLogIndex { get }

    /// Commands from `index` on: at most `maxCount`, at most `maxBytes` of payload, at least one when there is one.
    func commands(from index: PartitionLogIndex, maxCount: Int, maxBytes: Int) async throws -> [PartitionCommand]
}

/// Named files of one machine that may vanish at any time without loss. Confined to the loop.
public protocol DerivedFiles: AnyObject {
    /// Replaces the file atomically: after a crash it has the old or the new contents, or is gone.
    func replace(_ name: String, with bytes: [UInt8]) async throws

    /// The contents, or `nil` when there is no such file.
    func read(_ name: String) async throws -> [UInt8]?

    func delete(_ name: String) async throws
}
