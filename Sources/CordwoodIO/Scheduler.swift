/// One serial loop and the workers beside it.
///
/// The engine is confined to the loop: its classes are not `Sendable`, and whoever holds one runs on the loop. Work
/// that may block or take long runs on the workers and sees only `Sendable` values.
public protocol Scheduler: AnyObject, Sendable {
    /// True when the caller runs on this loop.
    var isCurrent: Bool { get }

    /// Starts a task on the loop. The caller must run on the loop already, so the closure may capture what is confined
    /// to it; everything that the task awaits comes back to the loop.
    func spawn(_ name: String, _ body: @escaping () async -> Void)

    /// Calls `body` once when the work that is ready now has been done, before the loop waits: the point at which a
    /// turn's appends become one batch. The caller must run on the loop.
    func atEndOfTurn(_ body: @escaping () -> Void)

    /// Calls `body` on the loop, from any thread.
    func submit(_ body: @escaping @Sendable () -> Void)

    /// Runs `body` on a worker and comes back to the caller's loop with what it returned.
    func offload<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value

    /// The loop as the executor of an actor at the edge.
    var unownedLoop: UnownedSerialExecutor { get }
}
