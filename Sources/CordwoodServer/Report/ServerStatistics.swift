import CordwoodBase

/// What the client port has done since it was opened, or since CONFIG RESETSTAT.
final class ServerStatistics {
    struct CommandCount {
        var calls: UInt64 = 0
        /// Time in the server, waiting for a disk or a quorum excluded.
        var nanoseconds: UInt64 = 0
        /// Turned down before it ran: wrong arity, draining.
        var rejected: UInt64 = 0
        /// Ended in an error reply.
        var failed: UInt64 = 0
    }

    var connectionsAccepted: UInt64 = 0
    var connectionsRejected: UInt64 = 0
    var receivedBytes: UInt64 = 0
    var sentBytes: UInt64 = 0
    var eventsAppended: UInt64 = 0
    var eventsRead: UInt64 = 0
    var transactions: UInt64 = 0
    var duplicates: UInt64 = 0
    private(set) var commands = [CommandCount](repeating: CommandCount(), count: Command.allCases.count)
    private(set) var unknownCommands: UInt64 = 0
    private(set) var errors = [UInt64](repeating: 0, count: ErrorCode.allCases.count)
    /// Request to reply, appends and commands that wait.
    private(set) var latencies = [LatencyHistogram](repeating: LatencyHistogram(), count: Command.allCases.count)
    private var lastSampledCommands: UInt64 = 0
    private(set) var commandsPerSecond: UInt64 = 0

    var commandsProcessed: UInt64 { commands.reduce(0) { $0 + $1.calls } + unknownCommands }

    var errorReplies: UInt64 { errors.reduce(0, +) }

    func count(_ command: Command, calls: UInt64, nanoseconds: UInt64) {
        commands[Int(command.rawValue)].calls += calls
        commands[Int(command.rawValue)].nanoseconds += nanoseconds
    }

    func countUnknownCommand() { unknownCommands += 1 }

    func countRejected(_ command: Command) { commands[Int(command.rawValue)].rejected += 1 }

    func countFailed(_ command: Command) { commands[Int(command.rawValue)].failed += 1 }

    func count(_ code: ErrorCode) {
        for (position, known) in ErrorCode.allCases.enumerated() where known == code { errors[position] += 1 }
    }

    func recordLatency(of command: Command, nanoseconds: UInt64) {
        latencies[Int(command.rawValue)].record(nanoseconds)
    }

    /// Called once a second.
    func sampleRate() {
        let processed = commandsProcessed
        commandsPerSecond = processed - lastSampledCommands
        lastSampledCommands = processed
    }

    func reset() {
        connectionsAccepted = 0
        connectionsRejected = 0
        receivedBytes = 0
        sentBytes = 0
        eventsAppended = 0
        eventsRead = 0
        transactions = 0
        duplicates = 0
        unknownCommands = 0
        lastSampledCommands = 0
        for position in commands.indices { commands[position] = CommandCount() }
        for position in latencies.indices { latencies[position] = LatencyHistogram() }
        for position in errors.indices { errors[position] = 0 }
    }
}

/// Times in buckets that grow by a quarter of a power of two, so that a percentile is known to within a fifth.
struct LatencyHistogram {
    private var buckets = [UInt32](repeating: 0, count: 4 * 40)
    private(set) var count: UInt64 = 0

    mutating func record(_ nanoseconds: UInt64) {
        let value = max(nanoseconds, 4)
        let power = 63 - value.leadingZeroBitCount
        let quarter = Int(value >> UInt64(power - 2)) & 3
        let bucket = min(power * 4 + quarter, buckets.count - 1)
        if buckets[bucket] < .max { buckets[bucket] += 1 }
        count += 1
    }

    /// Upper bound, in nanoseconds, of the bucket below which this part of the times lies.
    func percentile(_ part: Double) -> UInt64 {
        let wanted = UInt64((Double(count) * part).rounded(.up))
        var seen: UInt64 = 0
        for (bucket, times) in buckets.enumerated() {
            seen += UInt64(times)
            if seen >= wanted, seen > 0 { return (UInt64(bucket & 3) + 5) << UInt64(max(bucket / 4 - 2, 0)) }
        }
        return 0
    }
}
