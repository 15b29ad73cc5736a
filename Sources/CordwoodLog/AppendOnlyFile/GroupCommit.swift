internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Group commit: while batches are in flight the next one fills.
///
/// Records are framed into the open batch. `submit` asks that the open batch goes out as soon as one of `depth` places
/// is free; what is appended until then joins it. Batches are placed in order and written side by side; completions
/// count only as a prefix. Before a batch that does not fit, everything in flight is awaited and the segment is rolled.
/// Lack of space for the next segment is waited out. When the newest data have been durable for `promiseDelay` without
/// a later batch to say so, one batch is written that holds nothing but the promise.
///
/// Where durability is relaxed, a batch counts as durable when it is written, and no promise is written. `harden` syncs
/// then: what is in flight is awaited, and nothing follows it before the sync has returned.
final class GroupCommit {
    struct Limits {
        /// A batch is closed when the next record would make it larger than this, in bytes.
        var batchBytes = 1 << 20
        var batchRecords = 16_384
        /// Batches in flight, 1 to 4.
        var depth = 1
        var promiseDelayNanoseconds: UInt64 = 20_000_000
        var spaceRetryNanoseconds: UInt64 = 100_000_000
    }

    /// A batch on its way, with what the log knows about it.
    final class Batch {
        let builder: BatchBuilder
        let epoch: StreamEpoch
        /// First live entry in the batch.
        var firstIndex: RaftIndex?
        /// The batch's entries are the first behind a truncation or another replacement.
        var followsReplacement = false
        /// Last live entry in the batch or before it.
        var lastIndex: RaftIndex = 0
        /// The last ticket that the batch settles.
        var sequence: UInt64 = 0
        /// The state that a carry record behind this batch states.
        var state: StreamState
        /// The first or the last piece of a checkpoint is in this batch.
        var beginsCheckpoint = false
        var endsCheckpoint = false
        var isPromise = false
        fileprivate(set) var placed: AppendOnlyFile.PlacedBatch?
        fileprivate var isWritten = false

        init(builder: BatchBuilder, epoch: StreamEpoch, state: StreamState) {
            self.builder = builder
            self.epoch = epoch
            self.state = state
        }
    }

    let stream: AppendOnlyFile
    let limits: Limits
    private let seams: Seams
    /// Asked when a batch is closed: the state behind its last record.
    var currentState: () -> StreamState
    /// Makes the carry record of a new segment out of the state behind the last batch placed. Called while a segment is
    /// rolled, when the owner may be gone: it must not need it.
    private let carry: (CarryRecord.Predecessor, StreamState) -> CarryRecord
    var onPlaced: (Batch, AppendOnlyFile.PlacedBatch) -> Void = { _, _ in }
    /// Called for each batch in order once it and all before it are durable.
    var onDurable: (Batch) -> Void = { _ in }
    /// Called behind the last `onDurable` of a turn, when it ends.
    var onSettled: () -> Void = {}
    var onFailure: (LogError) -> Void = { _ in }

    /// Where the newest complete checkpoint begins, as far as it has been placed.
    var placedCheckpoint: StreamPosition?

    private var open: Batch?
    private var closed: [Batch] = []
    private var inFlight: [Batch] = []
    private var free: [BatchBuilder] = []
    private var isSubmitted = false
    private var isPumpScheduled = false
    /// Batches have become durable, and nobody has heard of it.
    private var isSettling = false
    private var isRolling = false
    private var isHardening = false
    /// Who waits for the next sync.
    private var hardeningWaiters: [UnsafeContinuation<Void, Never>] = []
    private var isPromised = true
    /// Whoever asked is gone: what is in flight ends, and nothing follows it.
    private var isAbandoned = false
    private var promiseTimer: TimerToken?
    private var promiseDueNanoseconds: UInt64 = 0
    private var retryTimer: TimerToken?
    private var drainWaiters: [UnsafeContinuation<Void, Never>] = []
    private var placedState: StreamState

    init(
        stream: AppendOnlyFile, limits: Limits, state: StreamState, seams: Seams,
        currentState: @escaping () -> StreamState,
        carry: @escaping (CarryRecord.Predecessor, StreamState) -> CarryRecord
    ) {
        self.stream = stream
        self.limits = limits
        self.seams = seams
        self.currentState = currentState
        self.carry = carry
        placedState = state
    }

    /// The state behind what the stream holds already.
    func start(with state: StreamState) { placedState = state }

    /// Bytes of batches that have no place yet.
    var pendingBytes: Int { closed.reduce(open?.builder.lengthBytes ?? 0) { $0 + $1.builder.lengthBytes } }

    /// True while batches wait for space.
    var isStalled: Bool { retryTimer != nil }

    // MARK: Filling

    /// The batch that takes the next record of so many framed bytes.
    func batch(forFramed bytes: Int, epoch: StreamEpoch) -> Batch {
        if let open {
            if open.epoch == epoch, hasRoom(in: open, forFramed: bytes) {
                open.isPromise = false
                return open
            }
            close()
        }
        let batch = Batch(builder: takeBuilder(), epoch: epoch, state: placedState)
        open = batch
        return batch
    }

    /// Whether the open batch takes another record of so many framed bytes.
    func hasRoom(in batch: Batch, forFramed bytes: Int) -> Bool {
        batch.builder.hasRoom(forFramed: bytes) && Int(batch.builder.recordCount) < limits.batchRecords
    }

    /// Ends the open batch; the next record begins another.
    func close() {
        guard let batch = open else { return }
        open = nil
        batch.state = currentState()
        closed.append(batch)
        pump()
    }

    /// Lets what was appended go out as soon as it can: what the rest of this turn appends joins it.
    func submit() {
        guard open != nil || !closed.isEmpty else { return }
        isSubmitted = true
        guard inFlight.count < limits.depth, !isPumpScheduled else { return }
        isPumpScheduled = true
        seams.scheduler.atEndOfTurn { [self] in
            isPumpScheduled = false
            pump()
        }
    }

    /// Takes the indexes behind `index` out of what is on its way: they were dropped.
    func truncate(after index: RaftIndex) {
        for batch in inFlight { clamp(batch, to: index) }
        for batch in closed { clamp(batch, to: index) }
        if let open { clamp(open, to: index) }
    }

    /// No entry on its way is part of the log any more.
    func forgetEntries() {
        for batch in inFlight { batch.firstIndex = nil }
        for batch in closed { batch.firstIndex = nil }
    }

    private func clamp(_ batch: Batch, to index: RaftIndex) {
        batch.lastIndex = min(batch.lastIndex, index)
        if let first = batch.firstIndex, first > index { batch.firstIndex = nil }
    }

    private func takeBuilder() -> BatchBuilder {
        free.popLast() ?? BatchBuilder(capacityBytes: limits.batchBytes, alignmentBytes: stream.alignmentBytes)
    }

    // MARK: Writing

    private func pump() {
        guard stream.failure == nil, !isAbandoned, !isRolling, !isHardening else { return }
        guard hardeningWaiters.isEmpty else {
            if inFlight.isEmpty { syncWritten() }
            return
        }
        guard retryTimer == nil else { return }
        while inFlight.count < limits.depth, let batch = nextBatch() {
            guard stream.hasRoom(for: batch.builder.lengthBytes) else {
                if inFlight.isEmpty { roll(for: batch.builder.lengthBytes) }
                return
            }
            closed.removeFirst()
            start(batch)
        }
    }

    /// The batch that goes out next, still in the queue.
    private func nextBatch() -> Batch? {
        if closed.isEmpty {
            guard isSubmitted, let batch = open else {
                isSubmitted = false
                return nil
            }
            open = nil
            isSubmitted = false
            batch.state = currentState()
            closed.append(batch)
        }
        return closed.first
    }

    private func start(_ batch: Batch) {
        stream.epoch = batch.epoch
        let placed = stream.place(batch.builder, commitHint: batch.state.commitHint)
        batch.placed = placed
        placedState = batch.state
        inFlight.append(batch)
        onPlaced(batch, placed)
        seams.scheduler.spawn("log write") { [self] in
            do throws(LogError) {
                try await stream.write(placed)
                written(batch)
            } catch {
                fail(error)
            }
        }
    }

    private func written(_ batch: Batch) {
        if isAbandoned { return }
        batch.isWritten = true
        var advanced = false
        while let first = inFlight.first, first.isWritten, let placed = first.placed, stream.failure == nil {
            inFlight.removeFirst()
            if isRelaxed {
                stream.prepareSpare()
            } else {
                stream.markDurable(to: placed.end, bytes: placed.lengthBytes)
                isPromised = first.isPromise
            }
            onDurable(first)
            recycle(first.builder)
            advanced = true
        }
        pump()
        if advanced { settleLater() } else { wakeDrained() }
    }

    /// The next batch goes out before anyone hears of this one: what is done then is done beside the device's work, and
    /// the device does not wait for the loop.
    private func settleLater() {
        guard !isSettling else { return }
        isSettling = true
        seams.scheduler.atEndOfTurn { [self] in settle() }
    }

    private func settle() {
        guard isSettling, !isAbandoned else { return }
        isSettling = false
        onSettled()
        armPromise()
        wakeDrained()
    }

    private func recycle(_ builder: BatchBuilder) {
        guard builder.buffer.count == LogFormat.padded(limits.batchBytes, to: stream.alignmentBytes),
            free.count <= limits.depth
        else { return }
        builder.reset()
        free.append(builder)
    }

    private func roll(for lengthBytes: Int) {
        isRolling = true
        seams.scheduler.spawn("log roll") { [self] in
            do throws(LogError) {
                let state = placedState.with(checkpoint: placedCheckpoint)
                try await stream.makeRoom(for: lengthBytes) { carry($0, state) }
                if isAbandoned { return }
                isRolling = false
                pump()
            } catch {
                isRolling = false
                if case .noSpace = error { retryLater() } else { fail(error) }
            }
            wakeDrained()
        }
    }

    private func retryLater() {
        retryTimer = seams.clock.schedule(
            atNanoseconds: seams.clock.monotonicNanoseconds + limits.spaceRetryNanoseconds
        ) { [self] in
            retryTimer = nil
            pump()
            wakeDrained()
        }
    }

    private func fail(_ error: LogError) {
        if isAbandoned { return }
        settle()
        cancelPromise()
        closed = []
        open = nil
        inFlight = []
        onFailure(error)
        wakeHardened(takeHardeningWaiters())
        wakeDrained()
    }

    // MARK: Relaxed durability

    private var isRelaxed: Bool { !stream.policy.syncsBatches }

    /// Makes durable what was written before the call, where batches are not synced. On return it is, or the stream has
    /// failed.
    func harden() async {
        guard isRelaxed, stream.failure == nil, stream.durable < stream.end else { return }
        await withUnsafeContinuation { continuation in
            // Other work may have run before the continuation existed: look again.
            if stream.failure != nil { return continuation.resume() }
            hardeningWaiters.append(continuation)
            pump()
        }
    }

    /// Syncs for all who wait, with nothing in flight.
    private func syncWritten() {
        isHardening = true
        let served = takeHardeningWaiters()
        seams.scheduler.spawn("log sync") { [self] in
            do throws(LogError) { try await stream.sync() } catch { fail(error) }
            isHardening = false
            pump()
            wakeHardened(served)
            wakeDrained()
        }
    }

    private func takeHardeningWaiters() -> [UnsafeContinuation<Void, Never>] {
        defer { hardeningWaiters = [] }
        return hardeningWaiters
    }

    private func wakeHardened(_ waiters: [UnsafeContinuation<Void, Never>]) {
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Promise

    private var isIdle: Bool {
        inFlight.isEmpty && closed.isEmpty && open == nil && !isRolling && !isSettling && !isHardening
            && hardeningWaiters.isEmpty
    }

    /// The timer is left alone while batches come and go: when it goes off it looks whether the log has rested long
    /// enough.
    private func armPromise() {
        guard isIdle, !isPromised, stream.failure == nil else { return }
        promiseDueNanoseconds = seams.clock.monotonicNanoseconds + limits.promiseDelayNanoseconds
        if promiseTimer == nil { schedulePromise() }
    }

    private func schedulePromise() {
        promiseTimer = seams.clock.schedule(atNanoseconds: promiseDueNanoseconds) { [self] in
            promiseTimer = nil
            // A batch that is on its way arms the timer again when it is durable.
            guard isIdle, !isPromised, stream.failure == nil else { return }
            if seams.clock.monotonicNanoseconds < promiseDueNanoseconds { schedulePromise() } else { writePromise() }
        }
    }

    private func cancelPromise() {
        guard let timer = promiseTimer else { return }
        promiseTimer = nil
        seams.clock.cancel(timer)
    }

    /// Writes the promise if the newest data are not promised yet and nothing else is on its way.
    private func writePromise() {
        guard isIdle, !isPromised, stream.failure == nil else { return }
        let batch = batch(forFramed: LogFormat.recordHeaderBytes, epoch: stream.epoch)
        batch.builder.append(.promise)
        batch.isPromise = true
        submit()
    }

    // MARK: Draining

    /// Returns when everything that was appended is durable, or nothing ever will be, or there is no space for it.
    private func drain() async {
        while !isIdle, stream.failure == nil, !isStalled {
            submit()
            // Other work may run before the continuation exists: look again when it does.
            await withUnsafeContinuation {
                if isIdle || stream.failure != nil || isStalled { $0.resume() } else { drainWaiters.append($0) }
            }
        }
    }

    /// Drains, and leaves a stream whose last data are promised, or synced where nothing is promised.
    func finish() async {
        await drain()
        await harden()
        cancelPromise()
        writePromise()
        await drain()
        cancelPromise()
        if let timer = retryTimer {
            retryTimer = nil
            seams.clock.cancel(timer)
        }
    }

    /// Ends without a word, as when the process ends: the owner is going away and was not closed.
    func abandon() {
        isAbandoned = true
        cancelPromise()
        closed = []
        open = nil
        if let timer = retryTimer {
            retryTimer = nil
            seams.clock.cancel(timer)
        }
    }

    private func wakeDrained() {
        guard !drainWaiters.isEmpty else { return }
        let waiters = drainWaiters
        drainWaiters = []
        for waiter in waiters { waiter.resume() }
    }
}
