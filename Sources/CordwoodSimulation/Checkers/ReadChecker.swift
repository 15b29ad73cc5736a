import CordwoodBase

/// Linearizable reads: a read shows at least what was acknowledged, or shown to another linearizable read, before it
/// began. As a partition only grows and every replica shows a prefix of the same list, nothing else can go wrong.
final class ReadChecker {
    private let judge: Judge
    private var shown: [PartitionID: UInt64] = [:]
    private(set) var readCount = 0

    init(_ judge: Judge) { self.judge = judge }

    /// The least that a read which begins now must show.
    func least(_ partition: PartitionID) -> UInt64 { shown[partition] ?? 0 }

    /// An operation has ended that showed so many commands.
    func show(_ partition: PartitionID, _ count: UInt64) { shown[partition] = max(shown[partition] ?? 0, count) }

    func read(_ partition: PartitionID, _ count: UInt64, least: UInt64, on host: String) {
        readCount += 1
        judge.require(
            count >= least, "linearizable reads are not stale",
            "\(host) shows \(count) commands of partition \(partition), and \(least) were shown before the read began")
        show(partition, count)
    }
}
