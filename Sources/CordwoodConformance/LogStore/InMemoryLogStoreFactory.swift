public import CordwoodIO
public import CordwoodRaft

/// Makes in-memory stores for the kit. A crash keeps some of the batches under way, as the random source says.
public final class InMemoryLogStoreFactory: LogStoreFactory {
    private let completion: InMemoryLogStore.Completion
    private let random: any RandomSource
    private var store: InMemoryLogStore?
    private var remains = InMemoryLogStore.Remains()

    /// - Parameter completion: `.manual` would leave the checks waiting.
    public init(completion: InMemoryLogStore.Completion = .immediate, random: any RandomSource) {
        self.completion = completion
        self.random = random
    }

    public func open() async throws -> any RaftLogStore {
        if let store, store.state.health == .closed || store.state.health == .poisoned {
            remains = store.remainsAfterCrash()
        }
        let opened = InMemoryLogStore(remains, completion: completion)
        store = opened
        return opened
    }

    public var canCrash: Bool { true }

    public func crash() async throws {
        guard let store else { throw ConformanceFailure("no store to crash") }
        let kept = random.next(below: UInt64(store.batchesUnderWay) + 1)
        remains = store.remainsAfterCrash(keepingBatches: Int(kept))
        self.store = nil
    }

    public func failNextWrite() -> Bool {
        store?.failNextBatch("injected failure")
        return store != nil
    }

    public func destroy() async throws {
        store = nil
        remains = InMemoryLogStore.Remains()
    }
}
