import CordwoodIO
import CordwoodProcesses

/// Looks at the directories of nodes that have ended: each is sound by itself, and what their partitions hold is the
/// same, byte for byte, in the form in which replicas have it in common.
struct DirectoryCheck {
    let group: TrialGroup
    let inspectProgram: String

    func run() async throws {
        var first: (name: String, digest: String)?
        for node in group.members {
            _ = try await inspect("verify", node)
            let digest = try await inspect("digest", node)
            if let first, first.digest != digest {
                throw Violation("canonical exports are equal", difference(first.name, first.digest, node.name, digest))
            }
            first = first ?? (node.name, digest)
        }
    }

    private func inspect(_ command: String, _ node: TrialNode) async throws -> String {
        let (end, output) = try await ChildProcess.run(
            [inspectProgram, command, "--json", node.directory], group.clock, scratch: "\(group.folder)/inspect",
            seconds: 300)
        guard end == .exited(0) else {
            throw Violation("directories are sound", "\(command) of \(node.name): \(end)\n\(output.suffix(2000))")
        }
        return output
    }

    private func difference(_ one: String, _ first: String, _ other: String, _ second: String) -> String {
        let lines = (first.split(separator: "\n"), second.split(separator: "\n"))
        guard lines.0.count == lines.1.count else {
            return "\(one) has \(lines.0.count) partitions and \(other) has \(lines.1.count)"
        }
        let pair = zip(lines.0, lines.1).first { $0 != $1 }
        return "\(one): \(pair?.0 ?? "")\n\(other): \(pair?.1 ?? "")"
    }
}
