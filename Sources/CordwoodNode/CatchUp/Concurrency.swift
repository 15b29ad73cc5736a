import CordwoodIO

/// A result that is being made beside the caller, on the same loop.
final class Pending<Value> {
    private var result: Result<Value, CatchUpError>?
    private var waiter: UnsafeContinuation<Void, Never>?

    init(_ scheduler: any Scheduler, _ body: @escaping () async throws(CatchUpError) -> Value) {
        scheduler.spawn("piece") { [self] in
            do throws(CatchUpError) { result = .success(try await body()) } catch { result = .failure(error) }
            waiter?.resume()
            waiter = nil
        }
    }

    /// Waited for by one caller.
    func value() async throws(CatchUpError) -> Value {
        while true {
            if let result { return try result.get() }
            await withUnsafeContinuation { waiter = $0 }
        }
    }
}

/// A number of places, taken and given back on one loop; whoever finds none waits for its turn.
final class Places {
    private var free: Int
    private var waiters: [UnsafeContinuation<Void, Never>] = []

    init(_ count: Int) { free = max(1, count) }

    func take() async {
        if free > 0 {
            free -= 1
            return
        }
        await withUnsafeContinuation { waiters.append($0) }
    }

    /// Gives a place to the one that has waited longest.
    func giveBack() {
        if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
    }
}

/// Runs `body` for every item, `atOnce` at a time, on the caller's loop. The first failure ends it: what is under way
/// finishes, nothing more begins, and the failure is thrown.
func inParallel<Item>(
    _ atOnce: Int, _ items: [Item], _ scheduler: any Scheduler,
    _ body: @escaping (Item) async throws(CatchUpError) -> Void
) async throws(CatchUpError) {
    guard !items.isEmpty else { return }
    var next = items.startIndex
    var failure: CatchUpError?
    var remaining = min(max(1, atOnce), items.count)
    await withUnsafeContinuation { (done: UnsafeContinuation<Void, Never>) in
        for _ in 0..<remaining {
            scheduler.spawn("catch up") {
                while failure == nil, next < items.endIndex {
                    let item = items[next]
                    next += 1
                    do throws(CatchUpError) { try await body(item) } catch { failure = failure ?? error }
                }
                remaining -= 1
                if remaining == 0 { done.resume() }
            }
        }
    }
    if let failure { throw failure }
}
