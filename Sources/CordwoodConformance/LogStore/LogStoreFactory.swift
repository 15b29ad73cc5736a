public import CordwoodRaft

/// Makes the stores that the kit examines. A factory stands for one place, a directory for most stores; it hands out
/// one store at a time.
///
/// To examine a store of your own, write a factory for it and run `LogStoreConformance.checks` and
/// `LogStoreConformance.randomSequence` on the loop to which your store is confined. Small segments, if your store has
/// them, let the checks cross their borders.
public protocol LogStoreFactory: AnyObject {
    /// Opens the store at the place: a fresh one at first, later what the last one left there.
    func open() async throws -> any RaftLogStore

    /// Whether `crash` can do what it says.
    var canCrash: Bool { get }

    /// Ends the store that is open as a power cut would: it does nothing more, and what was not durable may be gone.
    func crash() async throws

    /// Makes the next write or sync of the open store fail. False when the factory cannot.
    func failNextWrite() -> Bool

    /// Removes everything at the place, so that `open` gives a fresh store. The last store is closed or crashed.
    func destroy() async throws
}

extension LogStoreFactory {
    public var canCrash: Bool { false }

    public func crash() async throws {
        throw ConformanceFailure("the factory was asked for a crash and cannot make one")
    }

    public func failNextWrite() -> Bool { false }
}

/// What is done between any two operations of a check.
public enum Interruption: String, Hashable, Sendable, CaseIterable {
    /// Nothing.
    case none
    /// The store is closed and opened again.
    case reopening
    /// The power is cut once the operation is durable, and the store is opened again.
    case crashing
}

/// What a store did that its contract does not allow.
public struct ConformanceFailure: Error, Hashable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}
