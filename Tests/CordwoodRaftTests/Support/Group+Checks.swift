import CordwoodBase
import CordwoodRaft
import Testing

/// What must hold of a group at every moment, kept by an observer who sees all replicas and remembers everything.
struct GroupChecks {
    private struct Promise: Hashable {
        var term: Term
        var voter: ReplicaID
    }

    /// Election safety: one leader a term.
    private var leaders: [Term: ReplicaID] = [:]
    /// No second vote in a term, whatever crashes lie between.
    private var votes: [Promise: ReplicaID] = [:]
    /// What any replica has committed, with what is there.
    private(set) var committed: [RaftIndex: GroupEntry] = [:]
    private var highest: RaftIndex = 0
    /// The highest commit known to anyone when a read was asked.
    var readFloors: [UInt64: RaftIndex] = [:]
    var failures: [String] = []

    private mutating func require(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds {
            failures.append(what())
            Issue.record("\(what())")
        }
    }

    /// The highest index that anyone has committed.
    var commit: RaftIndex { highest }

    mutating func check(_ id: ReplicaID, before: GroupNode, _ group: Group) {
        let node = group[id]
        let core = node.core
        let old = before.core
        require(core.term >= old.term, "term of \(id) fell from \(old.term) to \(core.term)")
        if core.term == old.term, old.vote.candidate != .none {
            require(core.vote.candidate == old.vote.candidate, "\(id) changed its vote in term \(core.term)")
        }
        require(core.commitIndex >= old.commitIndex, "commit of \(id) fell to \(core.commitIndex)")
        require(
            core.appliedIndex <= core.commitIndex && core.commitIndex <= core.lastPosition.index,
            "\(id): applied \(core.appliedIndex), commit \(core.commitIndex), last \(core.lastPosition)")
        require(node.log.last == core.lastPosition.index, "\(id): log to \(node.log.last), core \(core.lastPosition)")
        if core.isLeader {
            let other = leaders[core.term] ?? id
            require(other == id, "\(other) and \(id) both lead term \(core.term)")
            leaders[core.term] = id
            if old.isLeader, old.term == core.term {
                require(
                    core.lastPosition.index >= old.lastPosition.index, "leader \(id) dropped entries of its own log")
            }
        }
        checkCommit(id, before, group)
    }

    /// A committed entry is on the disks of a quorum of the configuration that its leader had, and never changes.
    private mutating func checkCommit(_ id: ReplicaID, _ before: GroupNode, _ group: Group) {
        let node = group[id]
        let last = node.core.commitIndex
        if last <= before.core.commitIndex { return }
        for index in before.core.commitIndex.next...last {
            guard let entry = node.log.entry(index) else { continue }
            if let known = committed[index] {
                require(known == entry, "\(id) committed \(entry) at \(index), where \(known) was")
            } else {
                committed[index] = entry
            }
        }
        if last > highest, node.core.isLeader {
            let quorum = before.core.configuration == node.core.configuration ? [node.core.configuration.quorum] : []
            for quorum in quorum {
                let durable = quorum.outcome { voter in
                    guard let disk = group.nodes[voter]?.disk else { return false }
                    return disk.snapshot.position.index >= last || disk.entry(last) == node.log.entry(last)
                }
                require(durable == .won, "leader \(id) committed \(last), which no quorum has on disk")
            }
        }
        highest = max(highest, last)
    }

    /// A vote leaves.
    mutating func granted(_ message: RaftMessage) {
        let promise = Promise(term: message.term, voter: message.from)
        let other = votes[promise] ?? message.to
        require(other == message.to, "\(message.from) voted for \(other) and \(message.to) in term \(message.term)")
        votes[promise] = message.to
    }
}
