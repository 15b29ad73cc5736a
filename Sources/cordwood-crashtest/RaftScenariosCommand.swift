import CordwoodConformance
import Foundation

/// `raft-scenarios DIR`: replays every scenario file below a directory, each in both ways a core can come by payloads.
struct RaftScenariosCommand: Command {
    static let name = "raft-scenarios"
    static let synopsis = "raft-scenarios DIR    replay the consensus scenario files (*.txt) below DIR"

    /// 0 when every file passes, 1 when one differs, 2 when there is nothing to replay.
    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count == 1, let folder = arguments.first else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        let files = scenarioFiles(below: URL(filePath: folder))
        if files.isEmpty {
            complain("no scenario files below \(folder)")
            return 2
        }
        var failures = 0
        var cases = 0
        for file in files {
            let name = file.path.dropFirst(URL(filePath: folder).path.count).drop { $0 == "/" }
            guard let text = try? String(contentsOf: file, encoding: .utf8) else {
                complain("\(name): cannot be read")
                failures += 1
                continue
            }
            let verdicts = [false, true].map { ScenarioRunner(readsEverything: $0).run(text) }
            cases += verdicts[0].cases
            if let difference = verdicts.compactMap(\.difference).first {
                failures += 1
                print("FAIL \(name): \(difference)")
            } else {
                print("pass \(name) (\(verdicts[0].cases) cases)")
            }
        }
        print("\(files.count) files, \(cases) cases, \(failures) failed")
        return failures == 0 ? 0 : 1
    }

    /// Scenario files in order of their paths. `LICENSE` and `README.md` lie beside them.
    private static func scenarioFiles(below folder: URL) -> [URL] {
        let walk = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        let files = (walk?.allObjects ?? []).compactMap { $0 as? URL }
        return files.filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }
    }
}
