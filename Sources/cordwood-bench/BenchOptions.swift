internal import CordwoodOptions

/// What every sub-command understands.
enum BenchOptions {
    enum IO: String, CaseIterable, Sendable {
        case both
        case uring
        case posix
    }

    static let json = Option<Bool>.boolean("json", default: false, "print JSON lines instead of a table")
    static let io = Option<IO>.choice("io", default: .both, "which I/O backend to measure")
    static let directory = Option<String>.text(
        "dir", default: ".", "directory for the files that are written; it decides which device is measured")
    static let time = Option<UInt64>.duration(
        "time", default: 1_000_000_000, in: 10_000_000...3_600_000_000_000, "how long each point is measured")

    static let payload = Option<String>.text(
        "payload", default: "128,256,1024,16384", "payloads of an entry, in bytes (append, recovery, read)")
    static let writers = Option<String>.text("writers", default: "1,16,64", "writers at a time (append)")
    static let depth = Option<Int>.integer("depth", default: 1, in: 1...4, "batches in flight (append)")
    static let logBytes = Option<UInt64>.size(
        "log-size", default: 256 << 20, in: (1 << 20)...(1 << 40), "payload that a log holds (recovery, read)")

    static let table = OptionTable(
        program: "cordwood-bench", summary: "measures Cordwood and the machine under it", version: "cordwood-bench 1.0",
        verbs: BenchCommand.all.map(\.verb),
        options: [
            json.declaration, io.declaration, directory.declaration, time.declaration, payload.declaration,
            writers.declaration, depth.declaration, logBytes.declaration,
        ])
}
