import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// Reads of the ends of partitions, linearizable and local.
///
/// A linearizable read must show everything that anybody had been told or shown before it began. A local one must show
/// what the same node has shown before, also in an earlier life on the same disk. Whatever either shows goes into the
/// ledger, and has to stay.
extension Workload {
    private static let notNow: Set<String> = [
        "LOADING", "TIMEOUT", "CLUSTERDOWN", "TRYAGAIN", "SHUTDOWN", "TRANSPORTERR", "NOTLEADER", "FROZEN",
        "PARTNOTOWNED", "CIRCUITOPEN", "REMOVED",
    ]
    private static let pageEvents = 50

    func read(_ connections: Connections, _ random: VirtualRandom, isLinearizable: Bool) async throws {
        guard let node = anyNode(random) else { return }
        let partition = Int(random.next(below: UInt64(Self.partitions)))
        let client: TrialClient
        do {
            client = try await connections.client(
                of: node, isLinearizable ? ["CORDWOOD.READMODE", "LINEARIZABLE"] : [], seams)
        } catch { return connections.drop(node) }
        let disk = "\(node.name), disk \(node.disk)"
        let floor = isLinearizable ? ledger.shownEnd(of: partition) : shown[disk]?[partition] ?? 0
        let start = floor - min(floor, random.next(below: 4))
        counts.operations += 1
        let reply: RESPValue
        do {
            reply = try await client.call(
                "EPSCAN", "\(partition)", "\(start)", "+", "COUNT", "\(Self.pageEvents)")
        } catch { return connections.drop(node) }
        if let code = reply.errorCode {
            guard Self.notNow.contains(code) else {
                throw Violation("answers are those of the protocol", "\(node.name) answered EPSCAN: \(reply)")
            }
            counts.codes["read \(code)", default: 0] += 1
            return
        }
        guard let page = ShownPage(reply) else {
            throw Violation("answers are those of the protocol", "\(node.name) answered EPSCAN: \(reply)")
        }
        let end = start + UInt64(page.events.count)
        if end < floor {
            throw Violation(
                isLinearizable ? "linearizable reads show what was known before" : "local reads never go back",
                "\(disk) shows partition \(partition) up to \(end), and \(floor) was known before")
        }
        try enter(page.events, from: start, of: partition, by: disk)
        if !page.hasMore, let last = page.events.last { try ledger.observeEnd(last, by: disk) }
        if isLinearizable { counts.linearizableReads += 1 } else { counts.localReads += 1 }
        shown[disk, default: [:]][partition] = max(shown[disk]?[partition] ?? 0, end)
    }

    /// Events that a node has shown as those of a partition from a sequence on.
    func enter(_ events: [Ledger.Shown], from start: UInt64, of partition: Int, by name: String) throws(Violation) {
        for (offset, event) in events.enumerated() {
            guard event.place.partition == partition, event.place.sequence == start + UInt64(offset) else {
                throw Violation(
                    "sequences are gapless",
                    "\(name) shows \(event.place) where partition \(partition) has \(start + UInt64(offset)) due")
            }
            try ledger.observe(event, by: name)
        }
    }

    /// A node that serves, as far as is known here.
    func anyNode(_ random: VirtualRandom) -> TrialNode? {
        let serving = group.nodes.filter { $0.clientAddress != nil }
        return serving.isEmpty ? nil : serving[Int(random.next(below: UInt64(serving.count)))]
    }
}
