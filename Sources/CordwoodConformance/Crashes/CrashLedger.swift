/// What a workload has asked for and what of it was acknowledged, as the states that a crash may leave: after it must
/// stand the state behind some number of the workload's steps, at least those acknowledged and at most those begun.
public final class CrashLedger<Reading> {
    /// The state before the first step and behind each one that was begun.
    public private(set) var history: [Reading]
    /// How many steps have been acknowledged, each with all before it.
    public private(set) var acknowledged = 0

    public init(_ start: Reading) { history = [start] }

    /// Steps begun.
    public var begun: Int { history.count - 1 }

    public var current: Reading { history[history.count - 1] }

    /// A step is about to be taken; behind it stands `state`. Returns its number, for `acknowledge`.
    @discardableResult
    public func begin(_ state: Reading) -> Int {
        history.append(state)
        return begun
    }

    /// A step, and with it all before it, has been acknowledged.
    public func acknowledge(_ step: Int) { acknowledged = max(acknowledged, step) }

    /// Everything begun has been acknowledged.
    public func acknowledgeAll() { acknowledged = begun }
}
