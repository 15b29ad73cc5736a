internal import CordwoodIO
internal import CordwoodOptions
internal import CordwoodPlatform

/// One sub-command: its name on the command line and what it does. Each lives in a file of its own and stands in `all`.
struct BenchCommand: Sendable {
    var verb: OptionTable.Verb
    var run: @Sendable (BenchRun) throws -> Void

    init(
        _ name: String, operands: [String] = [], _ summary: String,
        run: @escaping @Sendable (BenchRun) throws -> Void
    ) {
        verb = OptionTable.Verb(name, operands: operands, summary)
        self.run = run
    }

    static let all: [BenchCommand] = [.device, .loop, .append, .recovery, .read, .events, .core, .catchUp]
}

/// One call of a sub-command.
struct BenchRun: Sendable {
    var command: BenchCommand
    var operands: [String]
    var values: OptionValues

    var timeNanoseconds: UInt64 { values[BenchOptions.time] }
    var directory: String { values[BenchOptions.directory] }

    /// A report in the form that was asked for.
    func report() -> Report { Report(bench: command.verb.name, isJSON: values[BenchOptions.json]) }

    /// The numbers of an option that lists several.
    func counts(_ option: Option<String>) throws(OptionError) -> [Int] {
        let text = values[option]
        let counts = text.split(separator: ",").map { Int($0) }
        guard !counts.isEmpty, counts.allSatisfy({ ($0 ?? 0) > 0 && ($0 ?? 0) <= 16 << 20 }) else {
            throw OptionError(
                .usage,
                "\(option.declaration.name) = '\(text)': must be numbers from 1 to \(16 << 20), parted by commas")
        }
        return counts.compactMap { $0 }
    }

    /// The backends to measure: the one that was asked for, or both.
    var backends: [Platform.Choice] {
        switch values[BenchOptions.io] {
        case .both: [.uring, .posix]
        case .uring: [.uring]
        case .posix: [.posix]
        }
    }

    /// Runs `body` on a platform of each backend in turn.
    func onEachBackend(
        _ body: @escaping @Sendable (_ io: String, Seams, Platform) async throws -> Void
    ) throws {
        for backend in backends {
            let platform = try Platform.start(io: backend)
            defer { platform.shutdown() }
            try platform.runToEnd { try await body(backend.rawValue, $0, platform) }
        }
    }

    /// Runs `body` on a log of each asked payload size on each backend in turn. The logs hold as much as was asked for.
    func onEachLog(
        _ body: @escaping @Sendable (_ io: String, Seams, LogWorkload, _ payloadBytes: Int) async throws -> Void
    ) throws {
        let payloads = try counts(BenchOptions.payload)
        let logBytes = Int(values[BenchOptions.logBytes])
        try onEachBackend { io, seams, _ in
            for payloadBytes in payloads {
                let workload = try await LogWorkload(seams, under: directory)
                try await workload.fill(entries: max(1, logBytes / payloadBytes), payloadBytes: payloadBytes)
                try await body(io, seams, workload, payloadBytes)
                try await workload.remove()
            }
        }
    }
}
