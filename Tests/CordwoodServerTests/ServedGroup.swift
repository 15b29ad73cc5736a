import CordwoodEvents
import CordwoodIO
import CordwoodNode
import CordwoodOptions
import CordwoodRESP
import CordwoodVirtual

/// Several nodes with their client ports in one virtual world, each in a directory of its name.
final class ServedGroup {
    let seams: Seams
    private let flags: [String]
    private let founders: String
    private(set) var nodes: [String: ServedNode] = [:]

    /// Founds a group of these nodes, all with the same flags, and waits until all of them serve reads.
    init(_ names: [String], _ flags: [String] = [], _ seams: Seams) async throws {
        self.seams = seams
        self.flags = flags
        founders = names.map { "\($0)=\($0):7001" }.joined(separator: ",")
        var failure: (any Error)?
        for name in names {
            seams.scheduler.spawn("open \(name)") { [self] in
                do { try await start(name) } catch { failure = error }
            }
        }
        try await until("the group is founded") { [self] in
            if let failure { throw failure }
            return nodes.count == names.count && nodes.values.allSatisfy { $0.node.readiness == .ready }
        }
    }

    /// Opens a node that is not running, with `--cluster-founders` unless it is told to join.
    @discardableResult
    func start(_ name: String, joining contact: String? = nil, _ more: [String] = []) async throws -> ServedNode {
        let group =
            contact.map { ["--cluster-join", "\($0):7001"] } ?? ["--cluster-founders", founders]
        let node = try await ServedNode.open(
            seams,
            ["--data", name, "--node-name", name, "--listen", "\(name):6000", "--peer-listen", "\(name):7001"]
                + group + flags + more, hasPlace: true)
        nodes[name] = node
        return node
    }

    /// Closes a node as SIGTERM does.
    func stop(_ name: String) async {
        await nodes.removeValue(forKey: name)?.close()
    }

    func client(_ name: String) async throws -> TestClient {
        guard let node = nodes[name] else { throw TestFailure("node \(name) does not run") }
        return try await node.connect()
    }

    /// The name of the leader that all running nodes agree on.
    func leader() async throws -> String {
        var found = ""
        try await until("a leader") { [self] in
            let leaders = nodes.filter { $0.value.node.isLeader }.map(\.key)
            found = leaders.first ?? ""
            let known = Set(nodes.values.map { $0.node.status.leader })
            return leaders.count == 1 && known.count == 1 && !known.contains(nil)
        }
        return found
    }

    /// The names of the nodes that run and do not lead, in order.
    func followers() async throws -> [String] {
        let leader = try await leader()
        return nodes.keys.filter { $0 != leader }.sorted()
    }

    func until(_ what: String, seconds: UInt64 = 30, _ condition: () async throws -> Bool) async throws {
        let deadline = seams.clock.monotonicNanoseconds + seconds * 1_000_000_000
        while try await !condition() {
            if seams.clock.monotonicNanoseconds > deadline { throw TestFailure("waited in vain: \(what)") }
            await seams.clock.sleep(nanoseconds: 20_000_000)
        }
    }

    func close() async {
        for name in nodes.keys.sorted() { await stop(name) }
    }
}

/// Runs `body` against a group of nodes in a world of their own.
func withServedGroup(
    _ names: [String] = ["a", "b", "c"], _ flags: [String] = [], seed: UInt64 = 1,
    _ body: @escaping (ServedGroup) async throws -> Void
) throws {
    let world = VirtualWorld(seed: seed)
    try world.run { seams in
        let group = try await ServedGroup(names, flags, seams)
        try await body(group)
        await group.close()
    }
}
