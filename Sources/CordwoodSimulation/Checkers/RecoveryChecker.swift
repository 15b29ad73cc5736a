import CordwoodBase
import CordwoodNode
import CordwoodRaft

/// Opening a directory again gives what was there: every entry that was durable when its node ended, with the same
/// entry chain; a term and a vote that are not older; no commit beyond the log; and machines that hold exactly what
/// their partition's log holds, as far as it is known to be committed. Once the node says that it is ready, it shows
/// all that this directory has ever shown.
final class RecoveryChecker {
    /// What a directory held when its node ended.
    struct Remains: Hashable {
        var term: Term
        var vote: ReplicaID
        var durable: RaftIndex
        var chain: ChainValue?
    }

    private let judge: Judge
    private var remains: [String: Remains] = [:]
    private var shown: [String: [PartitionID: UInt64]] = [:]
    private(set) var recoveryCount = 0

    init(_ judge: Judge) { self.judge = judge }

    /// The node of a directory ends, in whatever way: this is what it had.
    func ended(_ directory: String, _ state: Remains) { remains[directory] = state }

    /// The directory is open again.
    func opened(
        _ directory: String, _ life: String, term: Term, vote: ReplicaID, commit: RaftIndex, boundary: RaftIndex,
        last: RaftIndex, chainAt: (RaftIndex) -> ChainValue?
    ) {
        judge.require(
            boundary <= commit && commit <= last, "a recovered log holds what it takes for committed",
            "\(life): boundary \(boundary), commit \(commit), last \(last)")
        guard let before = remains[directory] else { return }
        recoveryCount += 1
        judge.require(
            term > before.term || term == before.term && (before.vote == .none || vote == before.vote),
            "term and vote are not forgotten",
            "\(life): term \(term) with vote \(vote), before the end term \(before.term) with vote \(before.vote)")
        judge.require(
            last >= before.durable, "what was durable is recovered",
            "\(life): the log ends at \(last), and \(before.durable) was durable")
        if let chain = before.chain, let found = chainAt(before.durable) {
            judge.require(
                found == chain, "what was durable is recovered as it was",
                "\(life): the entry chain at \(before.durable) is another one")
        }
    }

    /// A node that says it is ready shows so many events of a partition.
    func shows(_ directory: String, _ life: String, _ partition: PartitionID, _ count: UInt64) {
        let before = shown[directory]?[partition] ?? 0
        judge.require(
            count >= before, "visible events never vanish",
            "\(life) shows \(count) events of partition \(partition), and \(before) were shown from this directory")
        shown[directory, default: [:]][partition] = count
    }
}
