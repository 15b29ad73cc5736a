internal import CordwoodBase
internal import CordwoodLog

/// One partition as the segmented state machine runs it: its log, its machine, and what it is doing.
///
/// The log is the lane's queue: what has been handed over and not applied lies there, in memory or, when the machine is
/// slow, on disk. So a queue can neither overflow nor block, and there is one in-flight apply by construction: whoever
/// takes a lane out of `idle` is the only one that applies until it is idle again.
final class PartitionLane {
    enum State: Equatable {
        /// The machine has not been made.
        case closed
        /// Snapshot and log are being read.
        case opening
        /// Everything handed over is applied.
        case idle
        /// A task applies what has been handed over.
        case draining
        /// Waits for the other participants of an entry.
        case meeting(RaftIndex)
        /// Stands still until an operator says otherwise.
        case frozen(String)
        /// Another lane has taken its place: what is still under way in it counts for nothing.
        case retired
    }

    let partition: PartitionID
    let log: PartitionLogStore
    var state = State.closed
    var machine: AnyPartitionStateMachine?
    /// The machine when it is synchronous: what the fast path calls.
    var inline: (any PartitionStateMachine)?
    var applied: UInt64 = 0
    /// Highest index handed over: committed and logged.
    var handed: UInt64 = 0
    /// What readers may have seen before: a lane that stands still is not shown before it has applied so much again.
    var mustShow: UInt64
    var position = LogPosition(index: 0, term: 0)
    var eventCount: UInt64 = 0
    /// Payload bytes applied since the newest snapshot, and how large that one was.
    var bytesSinceSnapshot = 0
    var entriesSinceSnapshot: UInt64 = 0
    var lastSnapshotBytes = 0
    var wantsSnapshot = false
    var isSnapshotting = false
    /// An operator wants the partition to stand still: it does at the next record.
    var wantsFreeze = false
    var waiters: [UnsafeContinuation<Void, Never>] = []

    init(partition: PartitionID, log: PartitionLogStore) {
        self.partition = partition
        self.log = log
        handed = log.writtenIndex.rawValue
        mustShow = handed
    }

    /// Whether the machine, as it stands, shows all that was ever shown.
    var showsEnough: Bool { applied >= mustShow }

    func resumeWaiters() {
        let resumed = waiters
        waiters.removeAll()
        for waiter in resumed { waiter.resume() }
    }
}

/// An entry of several partitions that not all of them have come to.
struct Meeting {
    struct Participant {
        var partition: PartitionID
        var index: PartitionLogIndex
        var hasArrived = false
    }

    var participants: [Participant]
    /// Known already when one of the participants has applied the entry before a restart.
    var verdict: PartitionLogRecord.Verdict = .undecided

    var isComplete: Bool { participants.allSatisfy(\.hasArrived) }
}
