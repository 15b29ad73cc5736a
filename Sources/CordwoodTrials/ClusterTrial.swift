public import CordwoodIO
import CordwoodVirtual

/// A group of real processes under load and under faults, for as long as asked, and what its clients and its replicas
/// make of it.
///
/// The run goes in rounds: faults under load, then everything is healed, the writers finish what they have begun, and
/// an audit compares all nodes with each other and with the ledger. The first promise that is broken ends the run; the
/// directories and the logs of the nodes stay.
public final class ClusterTrial {
    /// What the run is made of.
    public struct Options: Sendable {
        public var seed: UInt64 = 1
        public var nodes = 3
        public var seconds = 120.0
        /// Requests of all writers a second, at most.
        public var rate = 600
        public var writers = 24
        /// As many read linearizably, and as many locally.
        public var readers = 3
        /// Where the directories of the nodes are made.
        public var folder = ""
        public var nodeProgram = ""
        public var inspectProgram = ""
        /// The nodes write their consensus traces, and each line is checked.
        public var traces = false
        /// Closed files of stopped nodes are damaged, which nodes repair from each other.
        public var damages = false
        /// Faults that are left out.
        public var without: Set<FaultKind> = []

        public init() {}
    }

    private let options: Options
    private let seams: Seams
    private let say: (String) -> Void
    private var violation: Violation?

    /// - Parameter say: takes progress and the report, line by line.
    public init(_ options: Options, _ seams: Seams, say: @escaping (String) -> Void) {
        self.options = options
        self.seams = seams
        self.say = say
    }

    static let partitions = 16
    private static let streams = 64
    private static let roundSeconds = 25.0
    /// How often progress is said.
    private static let progressSeconds = 10.0

    /// What a node is given beside its addresses: files so small that they are rolled and given back all the time, and
    /// a log that is let go so early that nodes which were away need snapshots.
    private static let nodeOptions = [
        "--partition-count", "\(partitions)", "--segment-size", "16MiB", "--replication-retention-bytes", "16MiB",
        "--partition-log-segment-size", "1MiB",
    ]

    /// Runs to the end, or to the first violation, which it returns.
    public func run() async throws(TrialError) -> Violation? {
        let group = try await TrialGroup(
            founders: options.nodes, spares: 1, program: options.nodeProgram, options: Self.nodeOptions,
            folder: options.folder, traces: options.traces, seams)
        var report = TrialReport(seed: options.seed, nodes: options.nodes)
        let smallDisk = await mountSmallDisk(group, &report)
        let ledger = Ledger(streams: Self.streams, seed: options.seed)
        let judge: (Violation) -> Void = { [self] in violation = violation ?? $0 }
        let workload = Workload(
            ledger, partitions: Self.partitions, group: group, seed: options.seed, writers: options.writers,
            readers: options.readers, rate: options.rate, judge: judge)
        let kinds = FaultKind.allCases.filter { !report.skipped.keys.contains($0) && !options.without.contains($0) }
        let nemesis = Nemesis(group, kinds: kinds, smallDisk: smallDisk, seed: options.seed, judge: judge)
        do {
            try await group.found()
            try await rounds(group, workload, nemesis)
            try await lastLook(group, workload, &report)
        } catch {
            judge(error as? Violation ?? Violation("the trial goes on", "\(error)"))
        }
        workload.end()
        await group.close()
        await smallDisk?.unmount()
        report.take(group, workload, nemesis)
        if violation == nil { violation = report.missing(of: kinds) }
        for line in report.lines { say(line) }
        return violation
    }

    /// Ends the run soon, with all its processes; it counts as failed.
    public func interrupt() { violation = violation ?? .interruption }

    /// The second node's disk is small where that is possible.
    private func mountSmallDisk(_ group: TrialGroup, _ report: inout TrialReport) async -> SmallDisk? {
        if !options.damages { report.skipped[.filesDamaged] = "not asked for" }
        guard group.nodes.count > 1 else { return nil }
        let node = group.nodes[1]
        switch await SmallDisk.mount(for: node.name, at: "\(options.folder)/\(node.name).disk", seams.clock) {
        case .success(let disk):
            node.directory = "\(options.folder)/\(node.name).disk/data"
            try? TrialFiles.makeDirectory(node.directory)
            return disk
        case .failure(let error):
            report.skipped[.diskFull] = error.description
            return nil
        }
    }

    private func rounds(_ group: TrialGroup, _ workload: Workload, _ nemesis: Nemesis) async throws {
        let began = seams.clock.monotonicNanoseconds
        var seen: [String: [Int: UInt64]] = [:]
        var elapsed: Double { Double(seams.clock.monotonicNanoseconds - began) / 1e9 }
        while elapsed < options.seconds, violation == nil {
            workload.open()
            nemesis.begin()
            let end = min(options.seconds, elapsed + Self.roundSeconds)
            var said = elapsed
            while elapsed < end, violation == nil {
                await seams.clock.sleep(seconds: 0.2)
                try group.checkAlive()
                if elapsed - said > Self.progressSeconds {
                    said = elapsed
                    try group.readLogs()
                    say(progress(elapsed, group, workload))
                }
            }
            if let violation { throw violation }
            try await nemesis.rest()
            workload.shut()
            if !(await seams.clock.until(seconds: 60) { workload.isIdle || violation != nil }) {
                throw Violation("a healed group goes on", "60 s after the last fault writes are not answered")
            }
            if let violation { throw violation }
            try await Audit(group: group, workload: workload).run(&seen)
            try group.readLogs()
            say(progress(elapsed, group, workload) + ", audited")
        }
    }

    /// Everything once more from the beginning, then the directories of the nodes after an orderly end.
    private func lastLook(_ group: TrialGroup, _ workload: Workload, _ report: inout TrialReport) async throws {
        if let violation { throw violation }
        say("reads everything again from every node")
        var seen: [String: [Int: UInt64]] = [:]
        try await Audit(group: group, workload: workload).run(&seen)
        for node in group.members { try await group.terminate(node) }
        say("compares the directories")
        try await DirectoryCheck(group: group, inspectProgram: options.inspectProgram).run()
        guard options.traces else { return }
        var events = 0
        for node in group.nodes {
            var offset: UInt64 = 0
            while case let text = TrialFiles.lines(of: node.traceFile, from: &offset), !text.isEmpty {
                events += try TraceSchema.count(in: text, node.traceFile)
            }
        }
        report.add("trace events, all sound", "\(events)")
    }

    private func progress(_ elapsed: Double, _ group: TrialGroup, _ workload: Workload) -> String {
        let ledger = workload.ledger
        return "\(Int(elapsed)) s: \(ledger.acknowledged) acknowledged, \(ledger.open) open, \(ledger.denied) denied, "
            + "term \(group.terms.highestTerm), members \(group.members.map(\.name).joined())"
    }
}
