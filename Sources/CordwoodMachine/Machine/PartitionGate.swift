public import CordwoodBase
public import CordwoodIO
public import CordwoodLog

/// The acknowledgement gate `.partition`: an entry may be acknowledged when all partitions of it, and of all entries
/// before it, have persisted it.
///
/// Under this gate an entry goes to its partitions' files as soon as it is logged, committed or not. Each round
/// persists the partitions of everything that waits, side by side; what is logged meanwhile waits for the next round,
/// so many entries share the syncs of one. An entry that a truncation drops is given up: its partitions' files are cut
/// once the truncation record is durable, and before what replaces it is forwarded.
///
/// A partition whose files turn out damaged lets nothing pass. Where damage is mended while the node runs
/// (`waitsForMending`), that is all: what the gate has forwarded to it is given to the mended log again, and what comes
/// behind waits until then. Anything else that keeps a partition from persisting is a failure for good.
///
/// A record is written before its entry is dispatched, so whatever only dispatch can decide of it must be decided then
/// already: entries of several partitions and commands of sessions are not taken under this gate.
public final class PartitionGate {
    /// Everything up to here may be acknowledged.
    public private(set) var passedThrough: RaftIndex = 0
    /// Everything up to here is in its partitions' logs, in memory or on disk.
    public private(set) var forwardedThrough: RaftIndex = 0
    /// Called when `passedThrough` has risen.
    public var onPass: () -> Void = {}
    /// Called once when a partition can persist no more, and so nothing will pass any more.
    public var onFailure: (any Error) -> Void = { _ in }
    public private(set) var failure: (any Error)?
    /// Whether damaged partition logs are mended while the node runs.
    public var waitsForMending = false

    private struct Slice {
        var raftIndex: RaftIndex
        var partition: PartitionID
        var partitionIndex: PartitionLogIndex
    }

    private static let retryNanoseconds: UInt64 = 10_000_000

    private let machines: SegmentedStateMachine
    private let seams: Seams
    /// Slices that are not known to be persisted, in log order.
    private var waiting: [Slice] = []
    private var head = 0
    private var isRunning = false
    private var isClosed = false
    private var idlers: [UnsafeContinuation<Void, Never>] = []

    /// - Parameter index: the log begins behind it.
    public init(_ machines: SegmentedStateMachine, startingAfter index: RaftIndex, seams: Seams) {
        self.machines = machines
        self.seams = seams
        passedThrough = index
        forwardedThrough = index
        machines.onPersisted = { [weak self] in self?.advance() }
    }

    // MARK: Entries

    /// Takes up logged entries, in log order, each once, up to the first one of a partition whose log is to be mended.
    public func forward(_ entries: ArraySlice<Entry>) {
        for entry in entries {
            if entry.slices.contains(where: { isMending($0.partition) }) { break }
            machines.forward(entry)
            expect(entry)
        }
        begin()
    }

    /// Whether a partition's log is damaged and will be made whole, or has not been given again yet what it missed.
    public func isMending(_ partition: PartitionID) -> Bool {
        let log = machines.logs.store(of: partition)
        return waitsForMending && (log.isToRetake || log.isDamaged) && !isLost(log)
    }

    /// Whether a log will persist nothing more before it is opened anew, whatever is done about it.
    private func isLost(_ log: PartitionLogStore) -> Bool {
        log.openState.failure != nil && !(waitsForMending && log.isDamaged)
    }

    /// Waits for an entry's slices, which their logs have been given. One without slices passes with what is before it.
    func expect(_ entry: Entry) {
        invariant(
            entry.index > forwardedThrough, "entry \(entry.index) behind \(forwardedThrough) at the partition gate")
        for slice in entry.slices {
            waiting.append(
                Slice(raftIndex: entry.index, partition: slice.partition, partitionIndex: slice.partitionIndex))
        }
        forwardedThrough = entry.index
    }

    /// Everything behind `index` is dropped from the log.
    public func truncate(after index: RaftIndex) {
        while waiting.count > head, let last = waiting.last, last.raftIndex > index { waiting.removeLast() }
        forwardedThrough = min(forwardedThrough, index)
        passedThrough = min(passedThrough, index)
    }

    /// A snapshot has taken the place of everything up to `index`, all of it persisted.
    public func install(through index: RaftIndex) {
        waiting.removeAll()
        head = 0
        forwardedThrough = index
        passedThrough = index
    }

    /// Begins to persist what waits, if that is not under way.
    public func begin() {
        advance()
        guard !isRunning, canPersist else { return }
        isRunning = true
        seams.scheduler.spawn("partition gate") { [self] in
            await run()
            isRunning = false
            let resumed = idlers
            idlers = []
            for idler in resumed { idler.resume() }
        }
    }

    /// Persists what waits once more, as far as the disk has room for it, and then nothing more.
    public func close() async {
        if head < waiting.count {
            await machines.logs.persist(Set(waiting[head...].map(\.partition)).sorted())
            advance()
        }
        isClosed = true
        await untilIdle()
    }

    private func untilIdle() async {
        while isRunning { await withUnsafeContinuation { idlers.append($0) } }
    }

    // MARK: Persisting

    private var canPersist: Bool {
        head < waiting.count && !isClosed && failure == nil && !isMending(waiting[head].partition)
    }

    private func run() async {
        while canPersist {
            let before = head
            await machines.logs.persist(Set(waiting[head...].map(\.partition)).sorted())
            if isClosed { return }
            advance()
            // A full disk is waited for.
            if head == before, canPersist {
                await seams.clock.sleep(nanoseconds: Self.retryNanoseconds)
            }
        }
    }

    private func fail(_ error: any Error) {
        guard failure == nil else { return }
        failure = error
        onFailure(error)
    }

    private func advance() {
        while head < waiting.count {
            let log = machines.logs.store(of: waiting[head].partition)
            if isMending(log.partition) { break }
            if isLost(log), let error = log.openState.failure { fail(error) }
            guard waiting[head].partitionIndex <= log.persistedIndex else { break }
            head += 1
        }
        let passed = head < waiting.count ? waiting[head].raftIndex.previous : forwardedThrough
        if head > 1024, head * 2 > waiting.count {
            waiting.removeFirst(head)
            head = 0
        }
        guard passed > passedThrough else { return }
        passedThrough = passed
        onPass()
    }
}

extension SegmentedStateMachine {
    /// Gives a logged entry to its partition's log before it is known to be committed; its machine sees it once it is
    /// dispatched.
    func forward(_ entry: Entry) {
        switch entry.slices {
        case .none: break
        case .one(let slice):
            invariant(
                sessionOf == nil, "entry \(entry.index) may name a session, under the acknowledgement gate 'partition'")
            // The lane first: what a log holds when its lane is made counts as handed over.
            let log = lane(of: slice.partition).log
            log.forward(record(slice, of: entry))
        case .many:
            brokenInvariant("entry \(entry.index) of several partitions, under the acknowledgement gate 'partition'")
        }
    }

    /// Cuts partition logs in front of what a durable truncation record has dropped. Durable on return.
    public func giveUp(_ dropped: [DroppedRecord]) async throws {
        for record in dropped { _ = lane(of: record.partition) }
        try await logs.giveUp(dropped)
    }

    /// What a system checkpoint says of each partition: the last record that is persisted and committed.
    public func committedLines() async throws -> [SystemCheckpoint.Line] {
        var lines: [SystemCheckpoint.Line] = []
        for line in logs.lines {
            if line.raftIndex <= dispatchedThrough {
                lines.append(line)
            } else if let lane = lanes[Int(line.partition.rawValue)], lane.handed > 0,
                let committed = try await lane.log.line(at: PartitionLogIndex(lane.handed))
            {
                lines.append(committed)
            }
        }
        return lines
    }
}
