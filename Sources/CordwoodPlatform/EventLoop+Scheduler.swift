internal import CordwoodBase
internal import CordwoodIO

extension EventLoop: Scheduler {
    package func spawn(_ name: String, _ body: @escaping () async -> Void) {
        invariant(isCurrent, "\(name) spawned from another thread")
        let body = Confined(body)
        Task(name: name, executorPreference: self) { await body.value() }
    }

    package func atEndOfTurn(_ body: @escaping () -> Void) { addEndOfTurnCall(body) }

    package func submit(_ body: @escaping @Sendable () -> Void) { inbox.post(body) }

    package func offload<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await Task(executorPreference: workers) { try await body() }.value
    }

    package var unownedLoop: UnownedSerialExecutor { actorExecutor.asUnownedSerialExecutor() }
}

/// A value that belongs to the loop, on its way into a closure that the compiler takes for one that might run anywhere.
///
/// The one place where confinement is asserted and not checked: whoever makes one runs on the loop (or hands over what
/// nobody else holds), and whoever opens it does.
struct Confined<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
