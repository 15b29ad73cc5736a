import CordwoodIO
import CordwoodRESP

/// The look at a healed group: nobody writes, every member runs, and all must come to the same.
struct Audit {
    /// By disk and partition, how far events have been read.
    typealias Seen = [String: [Int: UInt64]]

    private let group: TrialGroup
    private let workload: Workload

    init(_ stage: TrialStage) {
        group = stage.group
        workload = stage.workload
    }

    private var clock: any Clock { group.clock }

    /// Waits until the group is of one mind, then reads what every node has beyond `seen` and enters it.
    func run(_ seen: inout Seen) async throws {
        try await converge()
        var ends: [Int: (UInt64, String)] = [:]
        for node in group.members {
            let disk = "\(node.name), disk \(node.disk)"
            guard let address = node.clientAddress else { throw Violation.stuck("\(node.name) does not serve") }
            let client = try await TrialClient.connect(address, group.seams)
            for partition in 0..<Workload.partitions {
                let end = try await read(partition, of: node, disk, from: seen[disk]?[partition] ?? 0, client)
                if let (other, name) = ends[partition], other != end {
                    throw Violation(
                        "replicas are equal",
                        "partition \(partition) ends at \(end) on \(node.name) and at \(other) on \(name)")
                }
                ends[partition] = (end, node.name)
                seen[disk, default: [:]][partition] = end
            }
        }
        for (partition, end) in ends.sorted(by: { $0.key < $1.key }) {
            try workload.ledger.sweep(partition: partition, end: end.0)
        }
        try await ChainCheck(group: group, partitions: Workload.partitions).run()
    }

    /// Everybody serves, and has dispatched and applied everything that is committed.
    private func converge() async throws {
        let deadline = clock.monotonicNanoseconds + UInt64(TrialStage.patienceSeconds * 1e9)
        var last: String? = "nobody was asked"
        while last != nil, clock.monotonicNanoseconds < deadline {
            try group.checkAlive()
            last = await difference()
            if last != nil { await clock.sleep(seconds: 0.1) }
        }
        if let last { throw Violation.stuck("\(Int(TrialStage.patienceSeconds)) s after the last fault: \(last)") }
    }

    /// What keeps the members from being equal, `nil` when nothing does. Not inlined, since the compiler's optimiser
    /// ends with a crash there.
    @inline(never)
    private func difference() async -> String? {
        var commits: Set<UInt64> = []
        for node in group.members {
            node.lookForAddress()
            guard let status = await group.ask(node, "CORDWOOD.CLUSTER", "STATUS"),
                let commit = status["commit"]?.number, let applied = status["applied"]?.number
            else { return "\(node.name) does not answer" }
            if status["leader"]?.text == nil { return "\(node.name) knows no leader" }
            if applied != commit { return "\(node.name) has dispatched \(applied) of \(commit)" }
            commits.insert(commit)
            guard await group.ask(node, "CORDWOOD.BARRIER", "NOW", "TIMEOUT", "1000", "*")?.text == "OK" else {
                return "\(node.name) has not applied \(commit)"
            }
            if case .integer? = await group.ask(node, "DBSIZE") {} else { return "\(node.name) is loading" }
        }
        return commits.count <= 1 ? nil : "commits differ: \(commits.sorted())"
    }

    private static let damaged: Set<String> = ["CORRUPT", "PARTNOTOWNED", "FROZEN"]

    private func read(
        _ partition: Int, of node: TrialNode, _ disk: String, from seen: UInt64, _ client: TrialClient
    ) async throws -> UInt64 {
        var start = seen
        let deadline = clock.monotonicNanoseconds + UInt64(TrialStage.patienceSeconds * 1e9)
        while true {
            let reply = try await client.call(
                "EPSCAN", "\(partition)", "\(start)", "+", "COUNT", "200", seconds: 20)
            // Damage lies hidden until somebody reads it. It must be named then, and mended.
            if group.hasBeenDamaged, let code = reply.errorCode, Self.damaged.contains(code),
                clock.monotonicNanoseconds < deadline
            {
                await clock.sleep(seconds: 0.5)
                continue
            }
            guard let page = ShownPage(reply) else {
                throw Violation.stuck("\(node.name) answered EPSCAN \(partition): \(reply)")
            }
            try workload.enter(page.events, from: start, of: partition, by: disk)
            start += UInt64(page.events.count)
            if !page.hasMore { return start }
        }
    }
}
