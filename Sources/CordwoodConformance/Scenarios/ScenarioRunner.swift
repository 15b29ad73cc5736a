internal import CordwoodBase

/// Replays scenario files of the reference against this core, and says where they part.
public struct ScenarioRunner: Sendable {
    /// The first difference of a file.
    public struct Difference: Hashable, Sendable, CustomStringConvertible {
        public var line: Int
        public var command: String
        public var expected: String
        public var actual: String

        public var description: String {
            func indented(_ text: String) -> String {
                text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }
                    .joined(separator: "\n")
            }
            return "line \(line): \(command)\n  expected\n\(indented(expected))\n  actual\n\(indented(actual))"
        }
    }

    public struct Verdict: Hashable, Sendable {
        public var cases: Int
        /// `nil` when the file passes.
        public var difference: Difference?

        public var passes: Bool { difference == nil }
    }

    /// Keeps no payload at hand that is durable, so that the core asks for everything that it sends again.
    public var readsEverything: Bool

    public init(readsEverything: Bool = false) { self.readsEverything = readsEverything }

    /// Replays a file's text. The kind of the file shows in its first command.
    public func run(_ text: String) -> Verdict {
        let script: ScenarioScript
        do throws(ScenarioError) {
            script = try ScenarioScript(parsing: text)
        } catch {
            return Verdict(
                cases: 0, difference: Difference(line: 0, command: "(file)", expected: "a script", actual: "\(error)"))
        }
        do throws(ScenarioError) {
            switch script.cases.first?.command {
            case "committed", "vote": return try runQuorum(script)
            case "simple", "enter-joint", "leave-joint": return try runConfiguration(script)
            default: return try runInteraction(script)
            }
        } catch {
            return Verdict(
                cases: script.cases.count,
                difference: Difference(line: 0, command: "(file)", expected: "known commands", actual: "\(error)"))
        }
    }

    private func runQuorum(_ script: ScenarioScript) throws(ScenarioError) -> Verdict {
        let judge = QuorumScenario()
        return try compare(script) { scenario throws(ScenarioError) in try judge.run(scenario) }
    }

    private func runConfiguration(_ script: ScenarioScript) throws(ScenarioError) -> Verdict {
        var judge = ConfigurationScenario()
        return try compare(script) { scenario throws(ScenarioError) in try judge.run(scenario) }
    }

    private func compare(
        _ script: ScenarioScript, _ run: (ScenarioScript.Case) throws(ScenarioError) -> String
    ) throws(ScenarioError) -> Verdict {
        for scenario in script.cases {
            let actual = try run(scenario)
            if Self.normal(actual) != Self.normal(scenario.expected) {
                return Verdict(cases: script.cases.count, difference: difference(scenario, scenario.expected, actual))
            }
        }
        return Verdict(cases: script.cases.count, difference: nil)
    }

    private func runInteraction(_ script: ScenarioScript) throws(ScenarioError) -> Verdict {
        var environment = InteractionEnvironment(readsEverything: readsEverything)
        for scenario in script.cases {
            var isVisible = environment.isVisible
            if let level = scenario.value("log-level") { isVisible = level.lowercased() != "none" }
            let outcome = try environment.run(scenario)
            if scenario.command == "log-level" { isVisible = false }
            if let difference = judge(scenario, outcome, isVisible: isVisible) {
                return Verdict(cases: script.cases.count, difference: difference)
            }
        }
        return Verdict(cases: script.cases.count, difference: nil)
    }

    private func judge(
        _ scenario: ScenarioScript.Case, _ outcome: InteractionEnvironment.Outcome, isVisible: Bool
    ) -> Difference? {
        let expected = Self.normal(scenario.expected)
        // Nothing is shown but the error that the command itself returned.
        if !isVisible {
            let actual = outcome.error ?? "ok"
            return actual == expected ? nil : difference(scenario, expected, actual)
        }
        if let text = outcome.text {
            let actual = text.isEmpty ? "ok" : Self.normal(text)
            return actual == expected ? nil : difference(scenario, expected, actual)
        }
        let expectation = InteractionExpectation(parsing: scenario.expected, of: scenario)
        if let error = outcome.error, !expected.split(separator: "\n").contains(where: { $0.trimmed() == error }) {
            return difference(scenario, expected, error)
        }
        let both = [
            ("refused proposals", "\(expectation.droppedProposals)", "\(outcome.droppedProposals)"),
            ("campaigns that cannot be", "\(expectation.unpromotable)", "\(outcome.unpromotable)"),
            ("refusal to forget the leader", "\(expectation.refusedToForget)", "\(outcome.refusedToForget)"),
            ("handed out", Self.text(expectation.handed), Self.text(outcome.handed)),
        ]
        for (what, expected, actual) in both where expected != actual {
            return difference(scenario, "\(what): \(expected)", "\(what): \(actual)")
        }
        if outcome.error == nil, scenario.command == "propose-conf-change", expected.hasPrefix("v1 conf change") {
            return difference(scenario, expected, "ok")
        }
        return nil
    }

    private func difference(_ scenario: ScenarioScript.Case, _ expected: String, _ actual: String) -> Difference {
        let words = [scenario.command] + scenario.arguments.map(Self.text)
        return Difference(
            line: scenario.line, command: words.joined(separator: " "), expected: expected, actual: actual)
    }

    private static func text(_ argument: ScenarioScript.Argument) -> String {
        switch argument.values.count {
        case 0: argument.key
        case 1: "\(argument.key)=\(argument.values[0])"
        default: "\(argument.key)=(\(argument.values.joined(separator: ",")))"
        }
    }

    private static func text(_ handed: [ReplicaID: InteractionEnvironment.Handed]) -> String {
        var lines: [String] = []
        for (id, what) in handed.sorted(by: { $0.key < $1.key }) {
            if let state = what.hardState { lines.append("\(id): HardState \(state)") }
            lines += what.snapshots.map { "\(id): Snapshot \($0)" }
            lines += what.committed.map { "\(id): \($0)" }
        }
        return lines.joined(separator: "\n")
    }

    /// Blanks at the ends of lines carry no meaning.
    private static func normal(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingBlanksAtEnd() }
            .joined(separator: "\n").trimmingBlanksAtEnd()
    }
}
