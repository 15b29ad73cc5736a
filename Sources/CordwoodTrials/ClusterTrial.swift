import CordwoodIO
import CordwoodVirtual

/// A group of real processes under load and under faults, for as long as asked, and what its clients and its replicas
/// make of it.
///
/// The run goes in rounds: faults under load, then everything is healed, the writers finish what they have begun, and
/// an audit compares all nodes with each other and with the ledger. The first promise that is broken ends the run; the
/// directories and the logs of the nodes stay.
public final class ClusterTrial: GroupTrial {
    /// What the run is made of.
    public struct Options: Sendable {
        public var seconds = 120.0
        /// The nodes write their consensus traces, and each line is checked.
        public var traces = false
        /// Files of stopped nodes are damaged, which nodes repair from each other.
        public var damages = false
        /// Faults that are left out.
        public var without: Set<FaultKind> = []

        public init() {}
    }

    public let design: GroupDesign
    private let options: Options
    /// Faults that could not be made here, and why.
    private var skipped: [FaultKind: String] = [:]
    private var nemesis: Nemesis?
    private var traceEvents = 0

    private static let roundSeconds = 25.0
    /// How often progress is said.
    private static let progressSeconds = 10.0

    /// Files so small that they are rolled and given back all the time, and a log that is let go so early that nodes
    /// which were away need snapshots.
    private static let nodeOptions = [
        "--segment-size", "16MiB", "--replication-retention-bytes", "16MiB", "--partition-log-segment-size", "1MiB",
    ]

    public init(_ options: Options) {
        self.options = options
        design = GroupDesign(spares: 1, options: Self.nodeOptions, traces: options.traces)
        for kind in options.without { skipped[kind] = "left out" }
        if !options.damages { for kind in FaultKind.damages { skipped[kind] = "not asked for" } }
    }

    public func act(on stage: TrialStage) async throws {
        let smallDisk = await mountSmallDisk(stage)
        let kinds = FaultKind.allCases.filter { skipped[$0] == nil }
        let nemesis = Nemesis(stage.group, kinds, smallDisk, seed: stage.settings.seed, stage.verdict)
        self.nemesis = nemesis
        try await stage.group.found()
        try await strike(stage, nemesis, kinds)
        try await lookAgain(stage)
        try nemesis.strikes.check(kinds)
    }

    /// The second node's disk is small where that is possible.
    private func mountSmallDisk(_ stage: TrialStage) async -> SmallDisk? {
        guard skipped[.diskFull] == nil, stage.group.nodes.count > 1 else { return nil }
        let node = stage.group.nodes[1]
        let mountPoint = "\(stage.settings.folder)/\(node.name).disk"
        switch await SmallDisk.mount(for: node.name, at: mountPoint, stage.clock) {
        case .success(let disk):
            node.directory = "\(mountPoint)/data"
            stage.atEnd { await disk.unmount() }
            return disk
        case .failure(let error):
            skipped[.diskFull] = error.description
            return nil
        }
    }

    /// Rounds of faults and audits; more of them, up to twice the time, while an expected fault has never struck.
    private func strike(_ stage: TrialStage, _ nemesis: Nemesis, _ kinds: [FaultKind]) async throws {
        let began = stage.clock.monotonicNanoseconds
        var seen = Audit.Seen()
        var elapsed: Double { Double(stage.clock.monotonicNanoseconds - began) / 1e9 }
        while elapsed < options.seconds || (elapsed < 2 * options.seconds && nemesis.strikes.lacks(kinds)) {
            stage.workload.open()
            nemesis.begin()
            let end = elapsed + Self.roundSeconds
            var said = elapsed
            while elapsed < end {
                await stage.clock.sleep(seconds: 0.2)
                try stage.group.checkAlive()
                try stage.verdict.check()
                if elapsed - said > Self.progressSeconds {
                    said = elapsed
                    try stage.group.readLogs()
                    stage.say(progress(elapsed, stage))
                }
            }
            try await nemesis.rest()
            try await stage.settleWrites()
            try await Audit(stage).run(&seen)
            try stage.group.readLogs()
            stage.say(progress(elapsed, stage) + ", audited")
        }
    }

    private func progress(_ elapsed: Double, _ stage: TrialStage) -> String {
        let (ledger, group) = (stage.workload.ledger, stage.group)
        return "\(Int(elapsed)) s: \(ledger.acknowledged) acknowledged, \(ledger.open) open, \(ledger.denied) denied, "
            + "term \(group.terms.highestTerm), members \(group.members.map(\.name).joined())"
    }

    /// Everything once more from the beginning, then the directories of the nodes after an orderly end.
    private func lookAgain(_ stage: TrialStage) async throws {
        stage.say("reads everything again from every node")
        var seen = Audit.Seen()
        try await Audit(stage).run(&seen)
        for node in stage.group.members { try await stage.group.terminate(node) }
        stage.say("compares the directories")
        try await DirectoryCheck(group: stage.group, inspectProgram: stage.settings.inspectProgram).run()
        guard options.traces else { return }
        for node in stage.group.nodes {
            var offset: UInt64 = 0
            while case let text = TrialFiles.lines(of: node.traceFile, from: &offset), !text.isEmpty {
                traceEvents += try TraceSchema.count(in: text, node.traceFile)
            }
        }
    }

    public func report(on stage: TrialStage) -> [String] {
        var report = TrialReport(stage)
        if options.traces { report.add("trace events, all sound", "\(traceEvents)") }
        for kind in FaultKind.allCases {
            report.add(
                "fault: " + kind.rawValue, skipped[kind].map { "skipped: \($0)" } ?? "\(nemesis?.strikes[kind] ?? 0)")
        }
        return report.lines
    }
}
