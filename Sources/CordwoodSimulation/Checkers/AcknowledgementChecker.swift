import CordwoodBase

/// What was acknowledged stays; what was said not to be executed never is.
final class AcknowledgementChecker {
    private let judge: Judge
    private let agreement: AgreementChecker
    private var acknowledged: [UInt64: (partition: PartitionID, position: UInt64)] = [:]
    private var denied: [UInt64: String] = [:]
    private(set) var unknownCount = 0

    init(_ judge: Judge, _ agreement: AgreementChecker) {
        self.judge = judge
        self.agreement = agreement
    }

    var acknowledgedCount: Int { acknowledged.count }
    var deniedCount: Int { denied.count }

    /// `position`: how many commands the partition held then, this one included.
    func acknowledge(_ serial: UInt64, _ partition: PartitionID, position: UInt64) {
        acknowledged[serial] = (partition, position)
        let place = agreement.place(of: serial)
        judge.require(
            place?.partition == partition && place?.index.rawValue == position,
            "an acknowledged command is applied where the answer says",
            "serial \(serial) is acknowledged as \(partition)/\(position) and applied at "
                + (place.map { "\($0.partition)/\($0.index)" } ?? "no place"))
    }

    func deny(_ serial: UInt64, _ reason: String) { denied[serial] = reason }

    func leaveOpen(_ serial: UInt64) { unknownCount += 1 }

    /// At the end of a run, with what every replica's machines hold.
    func finish(_ contents: [(host: String, partition: PartitionID, serials: [UInt64])]) {
        for (serial, reason) in denied.sorted(by: { $0.key < $1.key }) where agreement.place(of: serial) != nil {
            judge.report("what is denied is never executed", "serial \(serial), denied as '\(reason)', was applied")
        }
        for (host, partition, serials) in contents {
            let wanted = agreement.canonical[partition, default: []].map(\.serial)
            judge.require(
                serials == wanted, "replicas converge",
                "\(host) holds \(serials.count) commands in partition \(partition), all together \(wanted.count)")
        }
        for (serial, place) in acknowledged.sorted(by: { $0.key < $1.key }) {
            for (host, partition, serials) in contents where partition == place.partition {
                let at = Int(place.position) - 1
                judge.require(
                    serials.indices.contains(at) && serials[at] == serial, "nothing acknowledged is lost",
                    "serial \(serial), acknowledged at \(partition)/\(place.position), is not there on \(host)")
            }
        }
    }
}
