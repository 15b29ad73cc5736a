/// A promise that was broken: which one, and what was seen.
public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    public var promise: String
    public var seen: String

    public init(_ promise: String, _ seen: String) {
        self.promise = promise
        self.seen = seen
    }

    public var description: String { "\(promise): \(seen)" }
}

/// Takes note of the first promise that is broken; what follows from it is of no interest.
public final class Judge {
    public private(set) var violation: Violation?

    public init() {}

    public func report(_ promise: String, _ seen: @autoclosure () -> String) {
        if violation == nil { violation = Violation(promise, seen()) }
    }

    public func require(_ holds: Bool, _ promise: String, _ seen: @autoclosure () -> String) {
        if !holds { report(promise, seen()) }
    }
}
