import CordwoodRaft

// What the checks of the kit are written with. The kit runs without a test framework, so what fails is thrown.

func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ConformanceFailure(message()) }
}

func expectEqual<Value: Equatable>(_ found: Value, _ expected: Value, _ what: @autoclosure () -> String) throws {
    if found == expected { return }
    throw ConformanceFailure("\(what()): expected \(brief(expected)), found \(brief(found))")
}

/// Expects exactly this error.
func expectError(_ expected: LogError, _ what: String, _ body: () async throws -> Void) async throws {
    try await expectError(what, "\(expected)", { $0 == expected }, body)
}

/// Expects an error of the kind that `matches` recognises.
func expectError(
    _ what: String, _ kind: String, _ matches: (LogError) -> Bool, _ body: () async throws -> Void
) async throws {
    do { try await body() } catch {
        if let error = error as? LogError, matches(error) { return }
        throw ConformanceFailure("\(what): expected \(kind), found the error \(error)")
    }
    throw ConformanceFailure("\(what): expected \(kind), found no error")
}

/// Expects that a call is refused, because it contradicts the log or names what is purged, and the log is as it was.
func expectRefused(_ log: LogUnderTest, _ what: String, _ body: () async throws -> Void) async throws {
    try await expectError(what, "a refusal", \.isRefusal, body)
    try await log.verify()
}

extension LogError {
    var isRefusal: Bool {
        switch self {
        case .invalidArgument, .purged: true
        default: false
        }
    }

    var isPoisoned: Bool {
        if case .poisoned = self { return true }
        return false
    }

    /// How a store may refuse bytes that it is given.
    var isDamageOrRefusal: Bool {
        if case .corrupt = self { return true }
        return isRefusal
    }
}

/// A value in words, as much of it as helps.
private func brief<Value>(_ value: Value) -> String {
    let text = "\(value)"
    return text.count <= 600 ? text : "\(text.prefix(600))... (\(text.count) characters)"
}
