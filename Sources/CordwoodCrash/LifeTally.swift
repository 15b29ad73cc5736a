import CordwoodProcesses

/// What became of lives that met a fault.
struct LifeTally {
    /// How a life under a fault may end.
    struct Fates: OptionSet {
        let rawValue: Int
        /// It did all that it was to do.
        static let wentOn = Fates(rawValue: 1)
        /// Its store said that it can do no more.
        static let stopped = Fates(rawValue: 2)
        /// It said why it cannot be opened.
        static let refused = Fates(rawValue: 4)
        /// The kernel ended it.
        static let died = Fates(rawValue: 8)
    }

    private(set) var lives = 0
    private(set) var wentOn = 0
    private(set) var stopped = 0
    private(set) var refused = 0
    private(set) var died = 0

    /// Counts the life that a host has just let end; throws when its end is none of those that are allowed, or when it
    /// acknowledged something behind its own failure.
    mutating func take(_ end: ChildProcess.End, of host: WorkerHost, allowing fates: Fates) throws {
        let fate: Fates? =
            switch (CrashWorker.Outcome(end), end) {
            case (.done, _): .wentOn
            case (.storeFailed, _): .stopped
            case (.refused, _): .refused
            case (nil, .signaled): .died
            default: nil
            }
        guard let fate, fates.contains(fate) else { throw CrashViolation("the life came to \(end): \(host.said)") }
        try host.expectSilenceAfterFailure()
        lives += 1
        switch fate {
        case .wentOn: wentOn += 1
        case .stopped: stopped += 1
        case .refused: refused += 1
        default: died += 1
        }
    }
}

extension CrashWorker.Outcome {
    /// What an end says; nil when it says nothing of this kind.
    init?(_ end: ChildProcess.End) {
        guard case .exited(let code) = end else { return nil }
        self.init(rawValue: code)
    }
}
