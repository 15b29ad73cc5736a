import CordwoodOptions

enum Fruit: String, CaseIterable, Sendable {
    case apple
    case pear
}

/// A table with an option of every kind.
enum Sample {
    static let dir = Option<String>.requiredPath("dir", "directory", alias: "data")
    static let strict = Option<Bool>.boolean("append.strict", default: false, "be strict")
    static let depth = Option<Int>.integer("commit.depth", default: 1, in: 1...4, "batches in flight")
    static let delay = Option<UInt64>.duration("commit.delay", default: 0, in: 0...1_000_000_000, "wait for more")
    static let idle = Option<UInt64?>.duration(
        "commit.idle-delay", unset: "10 times the delay", in: 0...1_000_000_000, "wait when idle")
    static let segment = Option<UInt64>.size(
        "segment.size", default: 64 << 20, in: (16 << 20)...(10 << 30), "bytes of a segment")
    static let address = Option<Endpoint>.address(
        "network.client-address", default: Endpoint(host: "127.0.0.1", port: 7379), "where clients connect",
        alias: "listen")
    static let fruit = Option<Fruit>.choice("fruit.kind", default: .apple, "which fruit", reloadable: true)
    static let name = Option<String?>.text("node.name", unset: "none", "the operator's name")

    static let table = OptionTable(
        program: "sample", summary: "an example", version: "1.2.3",
        verbs: [.init("list", operands: ["DIR", "[PART]"], "lists")],
        options: [
            dir.declaration, strict.declaration, depth.declaration, delay.declaration, idle.declaration,
            segment.declaration, address.declaration, fruit.declaration, name.declaration,
        ],
        rules: [
            .init { values in
                guard let idle = values[Sample.idle], idle < values[Sample.delay] else { return nil }
                return "commit.idle-delay must be at least commit.delay"
            }
        ],
        environmentPrefix: "SAMPLE_")

    /// The values that a run would see.
    static func values(
        _ arguments: [String], environment: [String: String] = [:], file: String = ""
    ) throws -> OptionValues {
        let invocation = try table.invocation(
            arguments: arguments, environment: environment, readFile: { _ in file })
        guard case .run(_, _, let values) = invocation else { throw OptionError(.usage, "not a run: \(invocation)") }
        return values
    }

    /// The text of the refusal.
    static func refusal(
        _ arguments: [String], environment: [String: String] = [:], file: String = ""
    ) -> String {
        do {
            _ = try values(arguments, environment: environment, file: file)
            return "accepted"
        } catch { return "\(error)" }
    }
}
