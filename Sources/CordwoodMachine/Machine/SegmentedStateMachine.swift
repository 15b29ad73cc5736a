public import CordwoodBase
public import CordwoodIO
public import CordwoodLog

/// The only state machine that Raft knows: hands committed entries to their partitions and runs the partitions'
/// machines.
///
/// `dispatch` takes entries in log order and never waits. A synchronous machine with nothing before the entry applies
/// it there and then; otherwise the entry stays in the partition's log, which is the lane's queue, and a task applies
/// it in its turn. One apply is in flight in a partition; partitions wait for each other only as participants of one
/// entry. A machine that throws is asked again with growing pauses, then its partition is frozen and reported while
/// the others go on.
///
/// Confined to the loop; asynchronous machines run on the workers.
public final class SegmentedStateMachine {
    public struct Configuration: Sendable {
        /// Snapshots kept of each partition.
        public var keptSnapshots: Int
        /// A snapshot is taken when so many payload bytes have been applied since the last one, or four times its
        /// size if that is more.
        public var snapshotBytes: Int
        /// Attempts at one apply before the partition is frozen.
        public var applyAttempts: Int
        /// Pause after the first failed attempt; doubles with each further one up to a second.
        public var retryNanoseconds: UInt64
        /// Entries that a lane applies before others get their turn.
        public var drainCount: Int
        /// Partition logs are cut below the oldest snapshot. Off for machines that read their data from the log.
        public var compactsLogs: Bool

        public init(
            keptSnapshots: Int = 2, snapshotBytes: Int = 64 << 20, applyAttempts: Int = 8,
            retryNanoseconds: UInt64 = 10_000_000, drainCount: Int = 256, compactsLogs: Bool = false
        ) {
            self.keptSnapshots = keptSnapshots
            self.snapshotBytes = snapshotBytes
            self.applyAttempts = applyAttempts
            self.retryNanoseconds = retryNanoseconds
            self.drainCount = drainCount
            self.compactsLogs = compactsLogs
        }
    }

    public let dispatcher: PartitionDispatcher
    public let logs: PartitionLogPool
    public let snapshots: SnapshotStore
    public let configuration: Configuration
    public private(set) var sessions: SessionTable

    /// Called once for each slice when its partition has applied it, in partition log order: what the proposer is told.
    public var onCompletion: ((ApplyCompletion) -> Void)?
    /// Called when a session was opened, closed or has expired at dispatch.
    public var onSession: ((RaftIndex, Term, SessionOutcome) -> Void)?
    /// Called when a partition was frozen, with the reason.
    public var onFrozen: ((PartitionID, String) -> Void)?
    /// Called when a partition's log cannot be used any more, with the reason.
    public var onLogFailure: ((PartitionID, any Error) -> Void)?
    /// Called when records of some partition have become durable in its log.
    var onPersisted: (() -> Void)?
    /// Finds the session that a command names, if it names one: only the caller knows the form of its payloads.
    public var sessionOf: ((ArraySlice<UInt8>) -> SessionCall?)?
    /// The lowest index that somebody still reads of a partition's log, if anybody does: it is not compacted from there
    /// on.
    public var logHold: (PartitionID) -> PartitionLogIndex? = { _ in nil }
    public var log: any LogSink = SilentLog()

    let seams: Seams
    let factory: PartitionStateMachineFactory
    var lanes: [PartitionLane?]
    var meetings: [RaftIndex: Meeting] = [:]
    var isClosed = false
    /// Lanes are not opened before everything known to be committed has been handed over again.
    var isRecovering = false
    /// Nothing is applied or opened while a Raft snapshot is installed.
    var isSuspended = false
    var suspended: [UnsafeContinuation<Void, Never>] = []
    var toOpen: [PartitionLane] = []
    var toOpenHead = 0
    var openingCount = 0
    /// Lanes with a task under way, for `close`.
    var activeCount = 0
    /// Partitions that stand still.
    public internal(set) var frozenCount = 0
    var idlers: [() -> Void] = []

    public init(
        dispatcher: PartitionDispatcher, logs: PartitionLogPool, snapshots: SnapshotStore, seams: Seams,
        configuration: Configuration = Configuration(), sessions: SessionTable = SessionTable(),
        factory: @escaping PartitionStateMachineFactory
    ) {
        self.dispatcher = dispatcher
        self.logs = logs
        self.snapshots = snapshots
        self.seams = seams
        self.configuration = configuration
        self.sessions = sessions
        self.factory = factory
        lanes = Array(repeating: nil, count: dispatcher.partitionCount)
        logs.onPersisted = { [weak self] in self?.persisted($0) }
        logs.onFailure = { [weak self] partition, error in
            guard let self else { return }
            if let lane = lanes[Int(partition.rawValue)] { freeze(lane, "partition log: \(error)") }
            onLogFailure?(partition, error)
        }
    }

    // MARK: Dispatch

    /// Raft index up to which everything has been handed to its partitions.
    public var dispatchedThrough: RaftIndex { dispatcher.dispatchedThrough }

    /// Hands committed and logged entries to their partitions, in log order, and applies those that can be applied at
    /// once. Never waits.
    public func dispatch(_ entries: ArraySlice<Entry>) {
        var last: RaftIndex = 0
        var foresight = Foresight()
        let entries = entries.span
        for at in -Foresight.farDistance..<entries.count {
            lookAhead(&foresight, at, entries)
            if at < 0 { continue }
            switch entries[at].slices {
            case .none: if entries[at].type == .session { decideSession(entries[at]) }
            case .one(let slice): hand(slice, of: entries[at])
            case .many(let slices): handMany(slices, of: entries[at])
            }
            last = entries[at].index
        }
        if last > 0 { dispatcher.recordDispatched(through: last) }
    }

    /// What machines foresaw of the commands ahead.
    private struct Foresight {
        static let farDistance = 12
        static let nearDistance = 7
        static let nextDistance = 3

        private var foreseen = InlineArray<16, UInt64>(repeating: 0)

        subscript(at: Int) -> UInt64 {
            get { foreseen[at & 15] }
            set { foreseen[at & 15] = newValue }
        }
    }

    /// Machines look at memory that was used long ago, at another place for each command. Told of commands ahead of
    /// their turn they let it come while others are applied.
    @inline(__always)
    private func lookAhead(_ foresight: inout Foresight, _ at: Int, _ entries: Span<Entry>) {
        let far = at + Foresight.farDistance
        if far < entries.count, let machine = machine(before: entries[far].slices) {
            foresight[far] = entries[far].payload.withUnsafeBytes { machine.foresee($0) }
        }
        let near = at + Foresight.nearDistance
        if near >= 0, near < entries.count, let machine = machine(before: entries[near].slices) {
            foresight[near] = machine.approach(foresight[near])
        }
        let next = at + Foresight.nextDistance
        if next >= 0, next < entries.count, let machine = machine(before: entries[next].slices) {
            machine.meet(foresight[next])
        }
    }

    /// The machine that is to apply an entry of one partition, if it can do so at once.
    @inline(__always)
    private func machine(before slices: EntrySlices) -> (any PartitionStateMachine)? {
        guard case .one(let slice) = slices, slice.offset == 0 else { return nil }
        return lanes[Int(slice.partition.rawValue)]?.inline
    }

    @inline(__always)
    func record(_ slice: EntrySlice, of entry: Entry) -> PartitionLogRecord {
        let start = entry.payload.startIndex + Int(slice.offset)
        let end = start + Int(slice.length)
        invariant(end <= entry.payload.endIndex, "slice \(slice) of \(entry.payload.count) bytes")
        return PartitionLogRecord(
            position: PartitionRecordPosition(
                partitionIndex: slice.partitionIndex, raftIndex: entry.index, term: entry.term,
                timestampMicroseconds: entry.timestampMicroseconds, type: entry.type),
            payload: entry.payload[start..<end])
    }

    private func hand(_ slice: EntrySlice, of entry: Entry) {
        let lane = lane(of: slice.partition)
        var record = record(slice, of: entry)
        if let sessionOf, let call = sessionOf(record.payload), !use(call, entry) { record.verdict = .refused }
        let index = slice.partitionIndex.rawValue
        lane.handed = max(lane.handed, index)
        if slice.partitionIndex > lane.log.forwardedIndex { lane.log.append(record) }
        if lane.state == .idle, !isSuspended {
            if lane.applied + 1 == index, let machine = lane.inline {
                applyInline(consume record, machine, lane)
            } else {
                beginDraining(lane)
            }
        } else if lane.state == .closed {
            beginOpening(lane)
        }
    }

    private func handMany(_ slices: [EntrySlice], of entry: Entry) {
        var verdict = PartitionLogRecord.Verdict.undecided
        if let sessionOf {
            for slice in slices {
                guard let call = sessionOf(record(slice, of: entry).payload) else { continue }
                if !use(call, entry) { verdict = .refused }
                break
            }
        }
        if verdict == .undecided {
            meetings[entry.index] = Meeting(
                participants: slices.map { .init(partition: $0.partition, index: $0.partitionIndex) })
        }
        for slice in slices {
            let lane = lane(of: slice.partition)
            var record = record(slice, of: entry)
            record.verdict = verdict
            lane.handed = max(lane.handed, slice.partitionIndex.rawValue)
            if !isRecovering || slice.partitionIndex > lane.log.persistedIndex { lane.log.append(record) }
            switch lane.state {
            case .idle: beginDraining(lane)
            case .closed: beginOpening(lane)
            default: break
            }
        }
    }

    func use(_ call: SessionCall, _ entry: Entry) -> Bool {
        sessions.use(call.session, at: entry.index, atMicroseconds: entry.timestampMicroseconds)
    }

    func lane(of partition: PartitionID) -> PartitionLane {
        let at = Int(partition.rawValue)
        if let lane = lanes[at] { return lane }
        let lane = PartitionLane(partition: partition, log: logs.store(of: partition))
        lanes[at] = lane
        return lane
    }

    private func decideSession(_ entry: Entry) {
        let outcome = sessions.apply(Array(entry.payload), at: entry.index, atMicroseconds: entry.timestampMicroseconds)
        if let outcome { onSession?(entry.index, entry.term, outcome) }
    }

    // MARK: Applying

    @inline(__always)
    func command(_ record: consuming PartitionLogRecord, _ partition: PartitionID) -> PartitionCommand {
        PartitionCommand(
            partition: partition, partitionIndex: record.position.partitionIndex,
            raftIndex: record.position.raftIndex, term: record.position.term,
            timestampMicroseconds: record.position.timestampMicroseconds, payload: record.payload)
    }

    /// The fast path: nothing before it, no task, no wait.
    @inline(__always)
    private func applyInline(
        _ record: consuming PartitionLogRecord, _ machine: any PartitionStateMachine, _ lane: PartitionLane
    ) {
        let position = record.position
        let byteCount = record.byteCount
        if record.verdict == .refused {
            complete(lane, position, byteCount, ApplyOutcome(refused: true), refusal: .sessionNotOpen)
            return
        }
        do {
            let outcome = try machine.apply(command(record, lane.partition))
            complete(lane, position, byteCount, outcome)
        } catch {
            beginDraining(lane, after: error)
        }
        if lane.wantsSnapshot, lane.state == .idle { beginDraining(lane) }
    }

    /// The partition has applied a record: counters, proposer, barriers.
    func complete(
        _ lane: PartitionLane, _ record: PartitionLogRecord, _ outcome: ApplyOutcome, refusal: ApplyRefusal? = nil
    ) { complete(lane, record.position, record.byteCount, outcome, refusal: refusal) }

    private func complete(
        _ lane: PartitionLane, _ position: PartitionRecordPosition, _ byteCount: Int, _ outcome: ApplyOutcome,
        refusal: ApplyRefusal? = nil
    ) {
        invariant(
            position.partitionIndex.rawValue == lane.applied + 1,
            "partition \(lane.partition) applied \(position.partitionIndex) behind \(lane.applied)")
        lane.applied = position.partitionIndex.rawValue
        lane.position = LogPosition(index: position.raftIndex, term: position.term)
        lane.eventCount += UInt64(outcome.eventCount)
        lane.entriesSinceSnapshot += 1
        lane.bytesSinceSnapshot += byteCount
        if lane.bytesSinceSnapshot >= max(configuration.snapshotBytes, 4 * lane.lastSnapshotBytes) {
            lane.wantsSnapshot = true
        }
        do {
            try dispatcher.recordApplied(
                lane.partition, position.partitionIndex, raftIndex: position.raftIndex, byteCount: byteCount,
                eventCount: outcome.eventCount)
        } catch { brokenInvariant("\(error)") }
        onCompletion?(
            ApplyCompletion(
                raftIndex: position.raftIndex, term: position.term, partition: lane.partition,
                partitionIndex: position.partitionIndex, outcome: outcome, refusal: refusal))
    }

    private func persisted(_ persisted: PartitionLogPool.Persisted) {
        do {
            try dispatcher.recordPersisted(
                persisted.partition, through: persisted.through, entryCount: persisted.entryCount,
                byteCount: persisted.byteCount)
        } catch { brokenInvariant("\(error)") }
        onPersisted?()
    }

    // MARK: Asking

    /// The machine of a partition if it is open and has nothing to catch up with, for reads that do not wait.
    public func openMachine(of partition: PartitionID) -> AnyPartitionStateMachine? {
        guard partition.rawValue < UInt64(lanes.count), let lane = lanes[Int(partition.rawValue)] else { return nil }
        switch lane.state {
        case .closed, .opening, .draining, .retired: return nil
        case .frozen: return isSuspended || !lane.showsEnough ? nil : lane.machine
        case .idle, .meeting: return isSuspended ? nil : lane.machine
        }
    }

    /// Everything that was shown before the start has been handed over: whoever stands still behind that shows nothing.
    public func noteShown() {
        for lane in lanes { lane.map { $0.mustShow = $0.handed } }
    }

    /// The machine of a partition, opened first when it is not: restored from its newest usable snapshot, with
    /// everything handed over before the call applied. `nil` when the partition does not exist, or stands still before
    /// it shows again what it showed before the start.
    public func machine(of partition: PartitionID) async -> AnyPartitionStateMachine? {
        guard dispatcher.has(partition) else { return nil }
        var target: UInt64 = 0
        while !isClosed {
            while isSuspended { await withUnsafeContinuation { suspended.append($0) } }
            let lane = lane(of: partition)
            target = max(target, lane.handed)
            if lane.state == .closed { beginOpening(lane) }
            while lane.state == .opening || (lane.state == .draining && lane.applied < target) {
                await withUnsafeContinuation { lane.waiters.append($0) }
            }
            if case .frozen = lane.state, !lane.showsEnough { return nil }
            if lane.state != .retired, !isSuspended { return lane.machine }
        }
        return nil
    }

    /// Returns once the partitions that are at work now have applied what was handed to them before the call. Those
    /// that stand still are not waited for, nor those that somebody opens meanwhile.
    public func settle() async {
        let atWork = lanes.compactMap { lane in
            lane.flatMap { $0.state == .opening || $0.state == .draining ? $0.partition : nil }
        }
        for partition in atWork { _ = await machine(of: partition) }
    }

    /// Returns once every partition named has applied everything up to a Raft index, or when time is up; with `nil` all
    /// partitions are meant. Partitions that hold something and that nobody has used since the start are opened for it.
    public func barrier(
        on named: [PartitionID]? = nil, through raft: RaftIndex, timeoutNanoseconds: UInt64
    ) async -> BarrierResult {
        let lagging = (named ?? lanes.indices.map { PartitionID(UInt64($0)) }).filter {
            dispatcher.has($0) && !dispatcher.hasApplied($0, through: min(raft, dispatchedThrough))
        }
        var isOver = false
        if !lagging.isEmpty {
            seams.scheduler.spawn("open partitions for a barrier") { await self.open(lagging) { !isOver } }
        }
        let result = await dispatcher.barrier(on: named, through: raft, timeoutNanoseconds: timeoutNanoseconds)
        isOver = true
        return result
    }

    /// Why a partition stands still, if it does.
    public func frozenReason(of partition: PartitionID) -> String? {
        guard partition.rawValue < UInt64(lanes.count),
            case .frozen(let reason)? = lanes[Int(partition.rawValue)]?.state
        else { return nil }
        return reason
    }

    /// Partitions that stand still, ascending.
    public var frozenPartitions: [PartitionID] {
        lanes.indices.map { PartitionID(UInt64($0)) }.filter { frozenReason(of: $0) != nil }
    }

    /// The sessions as a system checkpoint is to hold them, when the log keeps everything from `floor` on.
    public func encodedSessions(floor: RaftIndex) -> [UInt8] {
        sessions.forgetRefusals(below: floor)
        return sessions.encoded()
    }

    /// Takes the sessions that a checkpoint or a Raft snapshot held.
    public func restoreSessions(_ sessions: SessionTable) { self.sessions = sessions }
}

/// What one slice of an entry did in its partition.
public struct ApplyCompletion: Sendable {
    public var raftIndex: RaftIndex
    public var term: Term
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex
    public var outcome: ApplyOutcome
    /// Why the machine never saw the command, if it did not.
    public var refusal: ApplyRefusal?
}

/// Why a committed command did not reach its machine.
public enum ApplyRefusal: Hashable, Sendable {
    /// The session that it names was not open at its place in the log.
    case sessionNotOpen
    /// A participant of the entry has objected.
    case objection
}
