import CordwoodIO
import CordwoodProcesses
import CordwoodRESP
import Glibc

/// The processes of a group, each with its directory, behind one fault proxy.
///
/// Every node has loopback addresses of its own, one where it listens for its peers and one where the proxy does, so
/// that no port of another program can be in the way when it starts again.
final class TrialGroup {
    let seams: Seams
    let proxy: FaultProxy
    let chronicle: Chronicle
    let folder: String
    let nodes: [TrialNode]
    private let program: String
    private let design: GroupDesign
    private let options: [String]
    private let founders: String
    private var isClosed = false
    let founderCount: Int
    /// Processes that were started on a directory that had been used.
    private(set) var recoveries = 0
    private(set) var terms = LeaderRecord()
    /// Files of a node have been damaged: what reads them may say so until it is mended.
    var hasBeenDamaged = false

    var clock: any Clock { seams.clock }

    init(
        _ design: GroupDesign, _ settings: TrialSettings, partitions: Int, _ seams: Seams
    ) async throws(TrialError) {
        self.seams = seams
        self.design = design
        program = settings.nodeProgram
        options = ["--partition-count", "\(partitions)"] + design.options
        founderCount = settings.nodes
        folder = settings.folder
        proxy = FaultProxy(seams)
        chronicle = try Chronicle("\(folder)/trial.log", seams.clock)
        let network = "127.\(64 + seams.random.next(below: 128)).\(seams.random.next(below: 256))"
        let names = (0..<founderCount + design.spares).map { String(UnicodeScalar(UInt8(ascii: "a") + UInt8($0))) }
        nodes = names.enumerated().map { place, name in
            let isFounder = place < settings.nodes
            return TrialNode(
                name: name, place: place, folder: settings.folder, network: network,
                entrance: isFounder ? .founder : .joining(as: "voter"), isWanted: isFounder, isDirect: design.isDirect)
        }
        founders = nodes.prefix(founderCount).map { "\($0.name)=\($0.advertised)" }.joined(separator: ",")
        for node in nodes where !design.isDirect {
            try await proxy.open(node.advertised, for: node.name, at: node.listens)
        }
        seams.scheduler.spawn("ready lines") { [self] in
            while !isClosed {
                for node in nodes { node.lookForAddress() }
                await clock.sleep(seconds: 0.05)
            }
        }
    }

    func node(_ name: String) -> TrialNode? { nodes.first { $0.name == name } }

    var members: [TrialNode] { nodes.filter(\.isWanted) }

    // MARK: Lives

    /// Starts the founders and waits until they serve.
    func found() async throws {
        for node in nodes { try TrialFiles.makeDirectory(node.directory) }
        for node in members { try start(node) }
        for node in members where !(await untilServing(node, seconds: 30)) {
            throw Violation("a group is founded", "\(node.name): \(TrialFiles.text(of: node.logFile).suffix(500))")
        }
    }

    func start(_ node: TrialNode) throws(TrialError) {
        guard !node.isRunning else { return }
        if isClosed { throw TrialError("the group is closed") }
        var words = [
            program, "--data", node.directory, "--node-name", node.name, "--listen", "127.0.0.1:0",
            "--peer-listen", "\(node.listens)",
        ]
        switch node.entrance {
        case .founder: words += ["--cluster-founders", founders]
        case .joining(let role):
            let contacts = members.filter { $0 !== node }.map { "\($0.advertised)" }.joined(separator: ",")
            words += [
                "--network-advertised-peer-address", "\(node.advertised)", "--cluster-join", contacts,
                "--cluster-join-as", role,
            ]
        }
        if design.traces { words += ["--consensus-trace", node.traceFile] }
        if !TrialFiles.isEmpty(node.directory) { recoveries += 1 }
        node.clientAddress = nil
        node.isPaused = false
        node.mayEnd = false
        node.lives += 1
        // The line that says where this life serves must not be one of the life before.
        TrialFiles.remove(node.outputFile)
        node.process = try ChildProcess.start(words + options, output: node.outputFile, errors: node.logFile)
        chronicle.note("\(node.name) starts, life \(node.lives), disk \(node.disk)")
    }

    /// SIGKILL.
    func kill(_ node: TrialNode) async {
        if node.isRunning { chronicle.note("\(node.name) is killed") }
        node.mayEnd = true
        node.clientAddress = nil
        await node.process?.end(clock)
    }

    /// SIGTERM, and SIGKILL for one that does not end in time, which is a violation.
    func terminate(_ node: TrialNode) async throws {
        node.mayEnd = true
        resume(node)
        node.process?.signal(SIGTERM)
        guard let process = node.process else { return }
        chronicle.note("\(node.name) is asked to end")
        let ending = await process.untilEnded(clock, seconds: 60)
        node.clientAddress = nil
        if ending == nil {
            await kill(node)
            throw Violation("a node ends when it is asked to", "\(node.name) did not within 60 s")
        }
        if ending != .exited(0) { throw Violation("a node ends cleanly", "\(node.name) ended with \(ending!)") }
    }

    func pause(_ node: TrialNode) {
        node.isPaused = true
        node.process?.signal(SIGSTOP)
    }

    func resume(_ node: TrialNode) {
        if node.isPaused { node.process?.signal(SIGCONT) }
        node.isPaused = false
    }

    /// A new disk: the directory is empty, and what starts there next is another replica.
    func wipe(_ node: TrialNode) {
        chronicle.note("\(node.name) gets a new disk")
        TrialFiles.empty(node.directory)
        node.disk += 1
    }

    func untilServing(_ node: TrialNode, seconds: Double) async -> Bool {
        await clock.until(seconds: seconds) {
            node.lookForAddress()
            return node.clientAddress != nil || !node.isRunning
        }
        return node.clientAddress != nil
    }

    /// What no node may do: end by itself, unless it is started where there is no space.
    func checkAlive() throws(Violation) {
        for node in nodes where !node.mayEnd && !node.lacksSpace {
            node.lookForAddress()
            guard let ending = node.process?.poll() else { continue }
            let said = TrialFiles.text(of: node.logFile).suffix(1500)
            throw Violation("a node goes on", "\(node.name) ended with \(ending); its log ends with\n\(said)")
        }
    }

    func close() async {
        isClosed = true
        for node in nodes {
            resume(node)
            await kill(node)
        }
        proxy.close()
    }

    // MARK: What nodes say

    /// One request to a node on a connection of its own; `nil` when there is no reply.
    func ask(_ node: TrialNode, _ words: String..., seconds: Double = 2) async -> RESPValue? {
        await ask(node, words, seconds: seconds)
    }

    func ask(_ node: TrialNode, _ words: [String], seconds: Double) async -> RESPValue? {
        guard let address = node.clientAddress, let client = try? await TrialClient.connect(address, seams) else {
            return nil
        }
        return try? await client.call(words.map { Array($0.utf8) }, seconds: seconds)
    }

    /// The node that says of itself that it leads, in the highest term of those that say so.
    func leader() async -> TrialNode? {
        var found: (TrialNode, UInt64)?
        for node in members where node.isAwake {
            guard let status = await ask(node, "CORDWOOD.CLUSTER", "STATUS", seconds: 1),
                status["role"]?.text == "leader", let term = status["term"]?.number
            else { continue }
            if term > found?.1 ?? 0 { found = (node, term) }
        }
        return found?.0
    }

    /// It serves, and nothing that it has on disk is known to be damaged.
    func isSound(_ node: TrialNode) async -> Bool {
        guard let partitions = await ask(node, "CORDWOOD.PARTITION", "LIST")?.elements else { return false }
        return partitions.allSatisfy { $0["state"]?.text == "ok" || $0["state"]?.text == "throttled" }
    }

    /// Reads what the nodes have logged since the last time.
    func readLogs() throws(Violation) {
        for node in nodes { try terms.read(node) }
    }
}
