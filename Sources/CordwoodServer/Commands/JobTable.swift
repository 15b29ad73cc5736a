import CordwoodNode

/// Background jobs that operators have begun, and what came of the last of them.
struct JobTable {
    struct Job {
        var number: UInt64
        /// The command that began it.
        var command: String
        /// `nil` while it runs.
        var report: VerifyReport?

        var stateName: String {
            guard let report else { return "running" }
            return report.failure == nil ? "done" : "failed"
        }
    }

    /// Beyond so many, the oldest that has ended is forgotten.
    private static let limit = 64

    private(set) var jobs: [Job] = []
    private var last: UInt64 = 0

    mutating func begin(_ command: String) -> UInt64 {
        if jobs.count >= Self.limit, let ended = jobs.firstIndex(where: { $0.report != nil }) { jobs.remove(at: ended) }
        last += 1
        jobs.append(Job(number: last, command: command))
        return last
    }

    mutating func end(_ number: UInt64, _ report: VerifyReport) {
        if let at = jobs.firstIndex(where: { $0.number == number }) { jobs[at].report = report }
    }
}
