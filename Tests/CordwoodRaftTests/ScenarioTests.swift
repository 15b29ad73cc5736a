import CordwoodConformance
import Foundation
import Testing

/// Scenario files written for another implementation, replayed against this core. There is no list of excused files.
///
/// The random ones are in the tree. The others are third-party data that is not: they are read from beside the
/// checkout, and named as skipped when they are not there.
@Suite struct ScenarioTests {
    private static let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func files(in folder: String) -> [URL] {
        let files = try? FileManager.default.contentsOfDirectory(
            at: package.appending(path: folder), includingPropertiesForKeys: nil)
        return (files ?? []).filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }
    }

    private func replay(_ files: [URL], expectedCases: Int, readsEverything: Bool = false) throws {
        var cases = 0
        for file in files {
            let verdict = ScenarioRunner(readsEverything: readsEverything)
                .run(try String(contentsOf: file, encoding: .utf8))
            cases += verdict.cases
            if let difference = verdict.difference { Issue.record("\(file.lastPathComponent): \(difference)") }
        }
        #expect(cases == expectedCases)
    }

    @Test(arguments: [false, true])
    func randomScriptsEndInTheSameStatesAndLogs(readsEverything: Bool) throws {
        try replay(
            Self.files(in: "Fixtures/raft-scenarios/random"), expectedCases: 15030, readsEverything: readsEverything)
    }

    @Test(arguments: [("quorum", 127), ("confchange", 58), ("interaction", 327)])
    func filesFromBesideTheCheckoutPass(folder: String, cases: Int) throws {
        let files = Self.files(in: "../shared/conformance/raft/\(folder)")
        if files.isEmpty {
            print(
                "skipped: the \(cases) cases of \(folder)/ (third-party files, not in the tree, and not found in "
                    + "../shared/conformance/raft/\(folder) beside the checkout)")
            return
        }
        try replay(files, expectedCases: cases)
        try replay(files, expectedCases: cases, readsEverything: true)
    }

    @Test func aScriptThatDoesNotHoldIsNamedWithItsFirstDifference() {
        let script = """
            # Two nodes of three elect one.
            add-nodes 3 voters=(1,2,3) index=10
            ----
            ok

            log-level none
            ----
            ok

            campaign 1
            ----
            ok

            stabilize 1 2
            ----
            ok

            propose 3 early
            ----
            ok

            log-level debug
            ----
            ok

            raft-state
            ----
            1: StateLeader (Voter) Term:1 Lead:1
            2: StateFollower (Voter) Term:1 Lead:2
            3: StateFollower (Voter) Term:0 Lead:0
            """
        let verdict = ScenarioRunner().run(script)
        #expect(verdict.difference?.line == 18)
        #expect(verdict.difference?.expected == "ok")
        #expect(verdict.difference?.actual == "raft proposal dropped")
        let repaired = script.replacing(
            "propose 3 early\n----\nok", with: "propose 3 early\n----\nraft proposal dropped")
        #expect(ScenarioRunner().run(repaired).difference?.command == "raft-state")
    }

    @Test(arguments: [
        "propose 1 x", "add-nodes 1\nok", "dance 1\n----\nok", "campaign 1\n----\nok", "add-nodes x\n----\nok",
        "add-nodes 1 voters=(1 index=2\n----\nok",
    ])
    func aScriptThatCannotBeRunFails(text: String) {
        #expect(!ScenarioRunner().run(text).passes)
    }
}
