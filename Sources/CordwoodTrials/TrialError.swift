/// The trial itself could not go on: no verdict about the nodes.
public struct TrialError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A promise that was broken: which one, and what was seen.
public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    public let promise: String
    public let evidence: String

    init(_ promise: String, _ evidence: String) {
        self.promise = promise
        self.evidence = evidence
    }

    /// A group that nothing disturbs any more does not come to what it should.
    static func stuck(_ evidence: String) -> Violation { Violation("a healed group goes on", evidence) }

    static let interruption = Violation("the trial goes on", "it was interrupted")

    public var description: String { "\(promise): \(evidence)" }
}
