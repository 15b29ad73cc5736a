import CordwoodIO
import CordwoodRESP

/// Compares chains between the members of a group that runs: the entry chain at the highest common commit and at some
/// indexes below, and each partition's chain at the highest index that all have persisted. Equal values at an index
/// mean equal entries up to there.
struct ChainCheck {
    let group: TrialGroup
    let partitions: Int

    private static let promise = "replicas have equal chains at every common index"

    func run() async throws {
        var clients: [(name: String, client: TrialClient)] = []
        for node in group.members {
            guard let address = node.clientAddress else { continue }
            clients.append((node.name, try await TrialClient.connect(address, group.seams)))
        }
        try await compareEntries(clients)
        for partition in 0..<partitions { try await comparePartition(partition, clients) }
    }

    private func compareEntries(_ clients: [(name: String, client: TrialClient)]) async throws {
        var commits: [UInt64] = []
        var starts: [UInt64] = []
        for (_, client) in clients {
            commits.append(try await client.call("CORDWOOD.CLUSTER", "STATUS")["commit"]?.number ?? 0)
            starts.append(try await client.call("CORDWOOD.LOG", "STATUS")["first_index"]?.number ?? 0)
        }
        guard let end = commits.min(), let start = starts.max(), start <= end else { return }
        for index in [end, (start + end) / 2, start] {
            try await compare("entry \(index)", clients) {
                try await $0.call("CORDWOOD.LOG", "EXPLAIN", "\(index)")["chain"]?.text
            }
        }
    }

    private func comparePartition(_ partition: Int, _ clients: [(name: String, client: TrialClient)]) async throws {
        var common = UInt64.max
        for (_, client) in clients {
            let status = try await client.call("CORDWOOD.PARTITION", "STATUS", "\(partition)")
            common = min(common, status["persisted"]?.number ?? 0)
        }
        if common == 0 { return }
        try await compare("record \(common) of partition \(partition)", clients) {
            let status = try await $0.call("CORDWOOD.PARTITION", "STATUS", "\(partition)", "AT", "\(common)")
            return status["chain"]?["value"]?.text
        }
    }

    private func compare(
        _ what: String, _ clients: [(name: String, client: TrialClient)],
        _ chain: (TrialClient) async throws -> String?
    ) async throws {
        var first: (name: String, chain: String)?
        for (name, client) in clients {
            // What a node has let go already it has nothing to say of.
            guard let chain = try await chain(client) else { continue }
            if let first, first.chain != chain {
                throw Violation(
                    Self.promise, "at \(what) \(first.name) has \(first.chain) and \(name) has \(chain)")
            }
            first = first ?? (name, chain)
        }
    }
}
