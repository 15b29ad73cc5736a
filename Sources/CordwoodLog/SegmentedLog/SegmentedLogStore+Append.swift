public import CordwoodBase
public import CordwoodRaft

extension SegmentedLogStore {
    public func append(_ entries: [Entry]) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        try checkShape(of: entries, from: nextIndex)
        try checkSpace(for: entries)
        if let refusal = contents.admit(entries) { throw .invalidArgument(refusal) }
        write(entries, commit)
        return ticket()
    }

    public func replaceSuffix(from index: RaftIndex, with entries: [Entry]) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        guard index >= startIndex, index <= nextIndex else {
            throw .invalidArgument("suffix from \(index) of a log from \(startIndex) to \(nextIndex)")
        }
        if index == nextIndex { return try append(entries) }
        try checkShape(of: entries, from: index)
        try checkSpace(for: entries)
        try checkTruncation(after: index.previous)
        commit.close()
        let before = contents
        contents.truncate(after: index.previous)
        if let refusal = contents.admit(entries) {
            contents = before
            throw .invalidArgument(refusal)
        }
        dropSuffix(commit)
        write(entries, commit)
        return ticket()
    }

    public func truncate(after index: RaftIndex) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        if index >= contents.last.index { return currentTicket }
        guard index >= contents.boundary.index else {
            throw .invalidArgument("truncation after \(index) of a log from \(startIndex)")
        }
        try checkTruncation(after: index)
        commit.close()
        contents.truncate(after: index)
        dropSuffix(commit)
        return ticket()
    }

    public func recordVote(_ vote: Vote) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        appendControl(.vote(vote), commit) { $0.vote = vote }
        return ticket(index: 0)
    }

    /// Puts the acknowledgement gate in force from the next entry on. Must be durable before an acknowledgement under
    /// it.
    public func recordGate(_ gate: AckGate) throws(LogError) -> LogTicket {
        let commit = try requireWritable()
        let record = GateRecord(gate: gate, from: nextIndex)
        appendControl(.gate(record), commit) { $0.gates.append(record) }
        return ticket(index: 0)
    }

    public func endBatch() { commit?.submit() }

    public func updateCommit(_ index: RaftIndex) { committed = max(committed, min(index, contents.last.index)) }

    /// Tries again to have the next segment ready, where the disk was full.
    public func prepareSpace() {
        guard health == .ok else { return }
        stream?.prepareSpare(retryingSpace: true)
    }

    /// True when the disk had no room for the next segment.
    public var isSpaceShort: Bool { stream?.pool.isSpaceShort ?? false }

    /// True while what was appended waits for room on the disk.
    public var isWaitingForSpace: Bool { commit?.isStalled ?? false }

    /// True when an append of so many framed bytes has a preallocated place; the reserve does not count.
    public func canAdmit(bytes: Int) -> Bool {
        guard let admissibleBytes else { return false }
        return bytes <= admissibleBytes
    }

    /// How many framed bytes have a preallocated place now; `nil` when nothing has.
    public var admissibleBytes: Int? {
        guard health == .ok, let stream, let commit, !commit.isStalled else { return nil }
        // A batch that does not fit leaves the rest of its segment unused, at most half of it: of the spares half can
        // be relied on, less what header, carry and seal take.
        let overhead = UInt64(4 * stream.alignmentBytes)
        let spares = stream.pool.readyBytes / 2
        let ready = stream.remainingBytes + (spares > overhead ? spares - overhead : 0)
        let taken = UInt64(commit.pendingBytes + stream.alignmentBytes)
        return ready >= taken ? Int(ready - taken) : nil
    }

    // MARK: Tickets

    public func waitUntilDurable(_ ticket: LogTicket) async throws(LogError) {
        try await waitUntilSettled(ticket)
        if !options.syncsBatches { try await harden() }
    }

    private func waitUntilSettled(_ ticket: LogTicket) async throws(LogError) {
        while true {
            if isStale(ticket) { throw .stale }
            if ticket.sequence <= settledSequence { return }
            if let failure { throw failure }
            if health == .closed, lock == nil { throw .closed }
            await withUnsafeContinuation { continuation in
                // Other work may have run before the continuation existed: look again.
                if ticket.sequence <= settledSequence || failure != nil || health == .closed && lock == nil {
                    continuation.resume()
                    return
                }
                let position = waiters.lastIndex { $0.sequence <= ticket.sequence }.map { $0 + 1 } ?? 0
                waiters.insert((ticket.sequence, continuation), at: position)
            }
        }
    }

    public func flush() async throws(LogError) {
        _ = try requireWritable()
        let ticket = currentTicket
        endBatch()
        try await waitUntilDurable(ticket)
    }

    /// Makes the log durable up to an entry that counts as durable, where durability is relaxed.
    public func harden(through index: RaftIndex) async throws(LogError) {
        while hardenedIndex < min(index, durable) { try await harden() }
    }

    private func harden() async throws(LogError) {
        let commit = try requireWritable()
        let written = durable
        let revision = revision
        await commit.harden()
        if let failure { throw failure }
        if self.revision == revision { hardened = max(hardened, written) }
    }

    /// Names everything that was asked for so far, without an entry that a truncation could drop.
    var currentTicket: LogTicket { LogTicket(epoch: contents.epoch, index: 0, sequence: sequence) }

    private func ticket(index: RaftIndex? = nil) -> LogTicket {
        LogTicket(epoch: contents.epoch, index: index ?? contents.last.index, sequence: sequence)
    }

    /// True when a later truncation dropped the entry that the ticket names.
    private func isStale(_ ticket: LogTicket) -> Bool {
        guard let truncation = truncations.first(where: { $0.epoch > ticket.epoch }) else { return false }
        return truncation.index < ticket.index
    }

    // MARK: Framing

    private func checkShape(of entries: [Entry], from index: RaftIndex) throws(LogError) {
        var next = index
        for at in entries.indices {
            guard entries[at].index == next else {
                throw .invalidArgument("entry \(entries[at].index) where \(next) is next")
            }
            let payloadBytes = entries[at].payload.count
            guard payloadBytes <= options.maximumEntryBytes else {
                throw .invalidArgument(
                    "entry \(next) of \(payloadBytes) bytes, the limit is \(options.maximumEntryBytes)")
            }
            let isSound = { (slice: EntrySlice) in
                Int(slice.offset) + Int(slice.length) <= payloadBytes && slice.partitionIndex > 0
            }
            guard entries[at].slices.allSatisfy(isSound) else {
                throw .invalidArgument("a slice of entry \(next) reaches beyond its payload")
            }
            guard BatchBuilder.framedBytes(of: entries[at]) <= largestFramedBytes else {
                throw .invalidArgument("entry \(next) does not fit half a segment")
            }
            next = next.next
        }
    }

    /// What the largest record may take: half a segment, less header, carry and seal.
    private var largestFramedBytes: Int {
        Int(options.segmentBytes / 2) - LogFormat.batchHeaderBytes
    }

    /// Refuses what has no place while the disk is full. Nothing is written then.
    private func checkSpace(for entries: [Entry]) throws(LogError) {
        guard let pool = stream?.pool, pool.isSpaceShort else { return }
        var bytes = 0
        for entry in entries { bytes += BatchBuilder.framedBytes(of: entry) }
        if !canAdmit(bytes: bytes) { throw .noSpace("no space for another segment in \(directory)") }
    }

    private func checkTruncation(after index: RaftIndex) throws(LogError) {
        guard contents.canTruncate(after: index) else {
            throw .invalidArgument("entries behind \(index) are committed and cannot be dropped")
        }
    }

    private func write(_ entries: [Entry], _ commit: GroupCommit) {
        // A ticket for nothing is settled with what came before it.
        guard !entries.isEmpty else { return }
        sequence += 1
        // Entries are looked at where they lie: a copy counts a reference to the memory that they share, and waits for
        // everything that was written before.
        let entries = entries.span
        var batch = commit.batch(forFramed: BatchBuilder.framedBytes(of: entries[0]), epoch: contents.epoch)
        var bytes = 0
        for at in entries.indices {
            let framedBytes = BatchBuilder.framedBytes(of: entries[at])
            if !commit.hasRoom(in: batch, forFramed: framedBytes) {
                batch = commit.batch(forFramed: framedBytes, epoch: contents.epoch)
            }
            let chain = batch.builder.append(entries[at], after: contents.last.chain)
            contents.append(term: entries[at].term, slices: entries[at].slices, chain: chain)
            if batch.firstIndex == nil {
                batch.firstIndex = entries[at].index
                batch.followsReplacement = followsReplacement
                followsReplacement = false
            }
            batch.lastIndex = entries[at].index
            // The ticket is settled with the last of the batches that its entries take.
            batch.sequence = at == entries.count - 1 ? sequence : sequence - 1
            recent.append(entries[at])
            recent.changeLast { $0.chain = chain }
            bytes += entries[at].payload.count + EntryRecord.slicesOffset
        }
        recentBytes += bytes
    }

    /// Adds a control record. The contents change once the record is framed: a batch that this closes still carries the
    /// state before it.
    @discardableResult
    func appendControl(
        _ record: ControlRecord, _ commit: GroupCommit, _ change: (inout LogContents) -> Void = { _ in }
    ) -> GroupCommit.Batch {
        sequence += 1
        let batch = commit.batch(
            forFramed: BatchBuilder.framedBytes(record.encoded().count), epoch: contents.epoch)
        batch.builder.append(record)
        change(&contents)
        batch.lastIndex = contents.last.index
        batch.sequence = sequence
        return batch
    }

    /// Follows a truncation of the contents, with no batch open: a new epoch, begun by the truncation record as the
    /// first of its batch.
    private func dropSuffix(_ commit: GroupCommit) {
        let last = contents.last
        commit.truncate(after: last.index)
        durable = min(durable, last.index)
        hardened = min(hardened, last.index)
        committed = min(committed, last.index)
        while recent.endIndex > last.index.next, let dropped = recent.removeLast() {
            recentBytes -= dropped.payload.count + EntryRecord.slicesOffset
        }
        if recent.isEmpty { recent.reset(firstIndex: last.index.next) }
        contents.epoch = contents.epoch.next
        while let newest = truncations.last, newest.index >= last.index { truncations.removeLast() }
        truncations.append((contents.epoch, last.index))
        revision += 1
        followsReplacement = true
        appendControl(.truncation(TruncationRecord(last: last, epoch: contents.epoch)), commit)
    }
}
