public import CordwoodBase
public import CordwoodRaft

/// A store beside its model. Every verb does the same to both, waits until it is durable, interrupts as it was told,
/// and compares all that can be seen of the two.
public final class LogUnderTest {
    public let factory: any LogStoreFactory
    public let interruption: Interruption

    /// The store that is open. What is done to it directly, past the verbs, the model does not know.
    public private(set) var store: any RaftLogStore

    private(set) var model = LogModel()

    public init(_ factory: any LogStoreFactory, interruption: Interruption = .none) async throws {
        self.factory = factory
        self.interruption = interruption
        store = try await factory.open()
    }

    // MARK: Entries

    /// Entries that may follow the model, or the model cut before `first`.
    public func makeEntries(
        _ count: Int, term: Term, from first: RaftIndex? = nil, payloadBytes: Int = 100, withSlices: Bool = true
    ) -> [Entry] {
        model.sampleEntries(count, term: term, from: first, payloadBytes: payloadBytes, withSlices: withSlices)
    }

    // MARK: Verbs

    public func append(_ count: Int, term: Term, payloadBytes: Int = 100, withSlices: Bool = true) async throws {
        try await append(makeEntries(count, term: term, payloadBytes: payloadBytes, withSlices: withSlices))
    }

    public func append(_ entries: [Entry]) async throws {
        let ticket = try store.append(entries)
        _ = try model.extend(with: entries)
        try await settle(ticket)
    }

    /// Appends the last of several entries, of which the others stand in the open batch already.
    func finishBatch(_ entries: [Entry]) async throws {
        guard let last = entries.last else { return }
        let ticket = try store.append([last])
        _ = try model.extend(with: entries)
        try await settle(ticket)
    }

    public func replaceSuffix(from index: RaftIndex, count: Int, term: Term, payloadBytes: Int = 100) async throws {
        let entries = makeEntries(count, term: term, from: index, payloadBytes: payloadBytes)
        let ticket = try store.replaceSuffix(from: index, with: entries)
        try expect(
            store.durableIndex < max(index, 1), "durable \(store.durableIndex) after replacing from \(index)")
        model.apply(.truncate(after: index.previous))
        _ = try model.extend(with: entries)
        try await settle(ticket)
    }

    public func truncate(after index: RaftIndex) async throws {
        let ticket = try store.truncate(after: index)
        try expect(store.durableIndex <= index, "durable \(store.durableIndex) after truncating after \(index)")
        model.apply(.truncate(after: index))
        try await settle(ticket)
    }

    public func vote(_ vote: Vote) async throws {
        try await store.saveVote(vote)
        model.apply(.vote(vote))
        try await settle(nil)
    }

    /// Compacts. Beyond the last index the boundary's chain value is made up, as if a snapshot knew it.
    public func compact(through index: RaftIndex, term: Term = 1) async throws {
        if index < model.nextIndex {
            let boundary = index < model.startIndex ? model.boundary : try model.boundary(at: index)
            try await store.compact(through: index, boundary: nil)
            if index >= model.startIndex { model.apply(.compact(boundary)) }
        } else {
            let boundary = LogBoundary(
                index: index, term: term, chain: ChainValue(high: index.rawValue, low: term.rawValue))
            try await store.compact(through: index, boundary: boundary)
            model.apply(.compact(boundary))
        }
        try await settle(nil)
    }

    /// Installs what a store exported whose model is `source`, at the indexes which the entries have there.
    func install(_ exported: [UInt8], _ range: Range<RaftIndex>, of source: LogModel) async throws {
        try await store.install(exported, at: range.lowerBound)
        if model.entries.isEmpty, range.lowerBound > model.nextIndex {
            model.apply(.begin(try source.boundary(at: range.lowerBound.previous)))
        } else {
            model.apply(.truncate(after: range.lowerBound.previous))
        }
        _ = try model.extend(with: try source.entries(in: range, maxBytes: nil))
        try await settle(nil)
    }

    /// Installs at other indexes than those in the source; its entries have no slices.
    func install(_ exported: [UInt8], moved entries: [Entry], to index: RaftIndex) async throws {
        try await store.install(exported, at: index)
        model.apply(.truncate(after: index.previous))
        var moved = entries
        for position in moved.indices { moved[position].index = index + UInt64(position) }
        _ = try model.extend(with: moved)
        try await settle(nil)
    }

    public func flush() async throws {
        try await store.flush()
        try await settle(nil)
    }

    // MARK: Interruptions

    public func reopen() async throws {
        try await store.close()
        store = try await factory.open()
    }

    public func crash() async throws {
        try await factory.crash()
        store = try await factory.open()
    }

    /// Goes on with a fresh store.
    public func startAfresh() async throws {
        try await store.close()
        try await factory.destroy()
        store = try await factory.open()
        model = LogModel()
    }

    private func settle(_ ticket: LogTicket?) async throws {
        if let ticket {
            store.endBatch()
            try await store.waitUntilDurable(ticket)
        }
        switch interruption {
        case .none: break
        case .reopening: try await reopen()
        case .crashing: try await crash()
        }
        try await verify()
    }

    // MARK: Comparison

    /// Compares everything that can be seen of the store with the model. All that was done must be durable.
    public func verify() async throws {
        let state = store.state
        try expectEqual(store.startIndex, model.startIndex, "start")
        try expectEqual(store.nextIndex, model.nextIndex, "next")
        try expectEqual(store.lastEntry, model.lastEntry, "last entry")
        try expectEqual(store.durableIndex, model.lastIndex, "durable")
        try expectEqual(state.startIndex, model.startIndex, "start in the state")
        try expectEqual(state.nextIndex, model.nextIndex, "next in the state")
        try expectEqual(state.durableIndex, model.lastIndex, "durable in the state")
        try expectEqual(state.boundary, model.boundary, "boundary")
        try expectEqual(state.vote, model.vote, "vote")
        try expectEqual(state.health, .ok, "health")
        try expect(
            state.commitHint <= model.lastIndex, "commit hint \(state.commitHint) with last \(model.lastIndex)")
        try await verifyReads()
    }

    /// Compares what the store reads with the model.
    func verifyReads() async throws {
        for index in [model.startIndex.rawValue..<model.nextIndex.rawValue].joined() {
            let index = RaftIndex(index)
            try expectEqual(try store.term(at: index), try model.term(at: index), "term at \(index)")
        }
        try expectEqual(try store.term(at: model.boundary.index), model.boundary.term, "term at the boundary")
        try expectEqual(try store.term(at: model.nextIndex), nil, "term at next")
        let range = model.startIndex..<model.nextIndex
        let read = try await store.entries(in: range, maxBytes: nil)
        try expectEqual(read.count, model.entries.count, "number of entries")
        for (found, expected) in zip(read, model.entries) {
            try expectEqual(found, expected, "entry \(expected.index)")
        }
        if let first = model.entries.first {
            try expectEqual(try await store.entry(at: first.index), first, "the first entry")
        }
        if let last = model.entries.last {
            try expectEqual(try await store.entry(at: last.index), last, "the last entry")
        }
        try await expectError(.notFound(model.nextIndex), "the entry at next") {
            _ = try await self.store.entry(at: self.model.nextIndex)
        }
        if model.boundary.index > 0 {
            try await expectError(.purged(model.boundary.index), "the entry at the boundary") {
                _ = try await self.store.entry(at: self.model.boundary.index)
            }
        }
        if model.boundary.index > 1 {
            try await expectError(.purged(model.boundary.index.previous), "the term below the boundary") {
                _ = try self.store.term(at: self.model.boundary.index.previous)
            }
        }
    }
}
