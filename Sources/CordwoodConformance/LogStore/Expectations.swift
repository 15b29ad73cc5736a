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

/// Expects that an argument is refused and the log is as it was.
func expectRefused(_ log: LogUnderTest, _ what: String, _ body: () async throws -> Void) async throws {
    try await expectError(what, "an invalid argument", { $0.isInvalidArgument }, body)
    try await log.verify()
}

extension LogError {
    var isInvalidArgument: Bool {
        if case .invalidArgument = self { return true }
        return false
    }

    var isPoisoned: Bool {
        if case .poisoned = self { return true }
        return false
    }

    var isCorrupt: Bool {
        if case .corrupt = self { return true }
        return false
    }
}

/// A value in words, as much of it as helps.
private func brief<Value>(_ value: Value) -> String {
    let text = "\(value)"
    return text.count <= 600 ? text : "\(text.prefix(600))... (\(text.count) characters)"
}
