import CordwoodBase
import CordwoodMachine
import CordwoodNode
import CordwoodRaft

/// A segmented log keeps what is still needed: every entry that is not committed, and every one that some partition of
/// its replica has not persisted. Which entries those are is worked out from the history, not from what the node thinks
/// of its floor; that what counts as persisted is on the disk shows when the directory is opened again.
final class FloorChecker {
    private let judge: Judge
    private let agreement: AgreementChecker

    init(_ judge: Judge, _ agreement: AgreementChecker) {
        self.judge = judge
        self.agreement = agreement
    }

    func look(at node: Node, _ status: NodeStatus, _ life: String) {
        if node.isCatchingUp { return }
        judge.require(
            status.log.startIndex <= status.commit.next, "what is not committed is kept",
            "\(life): the log begins at \(status.log.startIndex), and commit is \(status.commit)")
        for number in 0..<node.partitionCount {
            let partition = PartitionID(UInt64(number))
            guard let progress = node.dispatcher.progress(of: partition) else { continue }
            check(
                partition, persisted: progress.persisted, start: status.log.startIndex,
                dispatched: status.dispatched, life)
        }
    }

    func check(
        _ partition: PartitionID, persisted: PartitionLogIndex, start: RaftIndex, dispatched: RaftIndex, _ life: String
    ) {
        guard let needed = agreement.raftIndex(partition, persisted.next), needed <= dispatched else { return }
        judge.require(
            start <= needed, "the floor is never above what is needed",
            "\(life): the log begins at \(start), and partition \(partition), with "
                + "\(persisted) persisted, needs \(needed)"
        )
    }
}
