internal import CordwoodBase

/// Names one operation under way: a slot and the slot's generation, so that a completion that comes too late is known
/// for what it is. Never 0.
struct OperationToken: Hashable, Sendable {
    var bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    init(slot: Int, generation: UInt32) { bits = UInt64(generation) << 32 | UInt64(UInt32(slot)) }

    var slot: Int { Int(UInt32(truncatingIfNeeded: bits)) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: bits >> 32) }
}

/// What the kernel said about one operation.
struct Completion: Sendable {
    var token: OperationToken
    /// What the system call would have returned, or a negative error number.
    var result: Int32
}

/// Hears of an operation's end from the loop itself, where a task would be resumed first.
protocol OperationObserver: AnyObject {
    func operationEnded(_ result: Int32)
}

/// Who waits for an operation.
enum OperationWaiter {
    case task(UnsafeContinuation<Int32, Never>)
    case observer(any OperationObserver)

    func end(_ result: Int32) {
        switch self {
        case .task(let continuation): continuation.resume(returning: result)
        case .observer(let observer): observer.operationEnded(result)
        }
    }
}

/// The operations under way and who waits for each: slots that are used again, so that starting one allocates nothing.
struct OperationTable {
    private struct Slot {
        var waiter: OperationWaiter?
        var generation: UInt32 = 1
        /// Next free slot, -1 at the end of the free list.
        var nextFree: Int32 = -1
        /// See `Operation.waitingDescriptor`; -1 for none.
        var waitingDescriptor: Int32 = -1
    }

    private var slots: [Slot] = []
    private var firstFree: Int32 = -1
    private(set) var count = 0

    mutating func insert(_ waiter: OperationWaiter, waitingDescriptor: Int32?) -> OperationToken {
        if firstFree < 0 {
            slots.append(Slot())
            firstFree = Int32(slots.count - 1)
        }
        let index = Int(firstFree)
        firstFree = slots[index].nextFree
        slots[index].waiter = waiter
        slots[index].waitingDescriptor = waitingDescriptor ?? -1
        count += 1
        return OperationToken(slot: index, generation: slots[index].generation)
    }

    /// Frees the operation's slot and returns who waits for it.
    mutating func remove(_ token: OperationToken) -> OperationWaiter {
        let index = token.slot
        invariant(
            index < slots.count && slots[index].generation == token.generation,
            "completion of an operation that is not under way: slot \(index), generation \(token.generation)")
        guard let waiter = slots[index].waiter.take() else { brokenInvariant("slot \(index) completed twice") }
        slots[index].generation = slots[index].generation == .max ? 1 : slots[index].generation + 1
        slots[index].nextFree = firstFree
        firstFree = Int32(index)
        count -= 1
        return waiter
    }

    /// Whether an observer waits for an operation under way.
    func isObserved(_ token: OperationToken) -> Bool {
        if case .observer = slots[token.slot].waiter { true } else { false }
    }

    /// The descriptor that an operation under way waits on; nil when it has completed, or cannot be cancelled.
    func waitingDescriptor(_ token: OperationToken) -> Int32? {
        guard token.slot < slots.count else { return nil }
        let slot = slots[token.slot]
        return slot.waiter != nil && slot.generation == token.generation && slot.waitingDescriptor >= 0
            ? slot.waitingDescriptor : nil
    }

    /// Every operation under way that can be cancelled, with its descriptor.
    var waiting: [(token: OperationToken, descriptor: Int32)] {
        slots.indices.compactMap { index in
            let token = OperationToken(slot: index, generation: slots[index].generation)
            return waitingDescriptor(token).map { (token, $0) }
        }
    }
}
