import CordwoodRaft

/// The conformance kit for log stores: named checks, and random sequences of operations against a model.
///
/// A check is written once and run with each `Interruption`, so that every property is also one of stores that are
/// closed, or lose their power, between any two operations.
public enum LogStoreConformance {
    /// One property of a store.
    public struct Check: Sendable, CustomStringConvertible {
        public let name: String
        private let body: @Sendable (LogUnderTest) async throws -> Void

        init(_ name: String, _ body: @escaping @Sendable (LogUnderTest) async throws -> Void) {
            self.name = name
            self.body = body
        }

        /// Runs the check on a fresh store of the factory. Throws `ConformanceFailure` when the store fails it.
        public func run(on factory: any LogStoreFactory, interruption: Interruption = .none) async throws {
            if interruption == .crashing, !factory.canCrash { return }
            let log = try await LogUnderTest(factory, interruption: interruption)
            do {
                try await body(log)
                try await log.store.close()
            } catch {
                throw ConformanceFailure("\(name) [\(interruption)]: \(error)\nstate: \(log.store.state)")
            }
        }

        public var description: String { name }
    }

    /// All checks, by the part of the contract that they examine.
    public static let checks: [Check] =
        positionChecks + appendChecks + suffixChecks + readChecks + compactionChecks + transferChecks
        + durabilityChecks + voteChecks + closingChecks + lifeCycleChecks
}
