import CordwoodBase

/// What was acknowledged is where its answer said, and stays there on every replica; what was said not to be executed
/// never is.
final class AcknowledgementChecker {
    private let judge: Judge
    private let stored: ExactlyOnceChecker
    private var acknowledged: [UInt64: Range<UInt64>] = [:]
    private var denied: [UInt64: (serials: Range<UInt64>, reason: String)] = [:]
    private var open: [UInt64: Range<UInt64>] = [:]

    init(_ judge: Judge, _ stored: ExactlyOnceChecker) {
        self.judge = judge
        self.stored = stored
    }

    var acknowledgedCount: Int { acknowledged.count }
    var deniedCount: Int { denied.count }
    var openCount: Int { open.count }

    /// `version` is `nil` where the answer did not say it.
    func acknowledge(_ serials: Range<UInt64>, sequence: UInt64, version: UInt64?) {
        acknowledged[serials.lowerBound] = serials
        let place = stored.isStored(serials) ? stored.places[serials.lowerBound] : nil
        judge.require(
            place?.sequence == sequence && (version == nil || place?.version == version),
            "an acknowledged command is where its answer says",
            "serial \(serials.lowerBound) is acknowledged at sequence \(sequence), version "
                + "\(version.map { "\($0)" } ?? "unsaid") and stored at \(place.map { "\($0)" } ?? "no place")")
    }

    /// It was not executed and never will be.
    func deny(_ serials: Range<UInt64>, _ reason: String) { denied[serials.lowerBound] = (serials, reason) }

    func leaveOpen(_ serials: Range<UInt64>) { open[serials.lowerBound] = serials }

    /// At the end of a run.
    func finish() {
        for (serial, (serials, reason)) in denied.sorted(by: { $0.key < $1.key }) where stored.isStored(serials) {
            judge.report("what is denied is never executed", "serial \(serial), denied as '\(reason)', is stored")
        }
        for (_, serials) in open.sorted(by: { $0.key < $1.key }) { _ = stored.isStored(serials) }
    }

    /// What a replica holds of a partition at the end, in its order.
    func compare(_ serials: [UInt64], of partition: PartitionID, on host: String) {
        let wanted = stored.partitions[partition] ?? []
        judge.require(
            serials == wanted, "nothing acknowledged is lost, and replicas converge",
            "\(host) holds \(serials.count) events of partition \(partition), and \(wanted.count) were stored; the "
                + "first difference is at \(zip(serials, wanted).prefix { $0 == $1 }.count)")
    }

    /// What a replica shows that need not have all of it: a beginning of what was stored.
    func comparePrefix(_ serials: [UInt64], of partition: PartitionID, on host: String) {
        let wanted = stored.partitions[partition] ?? []
        judge.require(
            wanted.starts(with: serials), "no replica shows what is not there",
            "\(host) shows \(serials.count) events of partition \(partition) that are no beginning of what was stored")
    }
}
