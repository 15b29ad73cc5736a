import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// Clients that write and read through any node for as long as the gate is open, and enter what they see in the ledger.
final class Workload {
    /// What was done and seen.
    struct Counts {
        var operations = 0
        /// Answers that left the outcome open, and requests that were never answered.
        var unknown = 0
        /// Acknowledged writes that were sent once more and got the same answer.
        var repeated = 0
        /// Of these, transactions.
        var repeatedTransactions = 0
        var linearizableReads = 0
        var localReads = 0
        var bytes = 0
        var codes: [String: Int] = [:]
    }

    static let partitions = 16
    private static let streams = 64
    /// Of the streams, these many times `Ledger.familyStreams` are written by transactions, too.
    private static let families = 4
    /// One request of so many is a transaction.
    static let requestsATransaction: UInt64 = 6
    private static let writers = 32
    /// As many read linearizably, and as many locally.
    private static let readers = 3

    let ledger: Ledger
    let group: TrialGroup
    let seams: Seams
    private let seed: UInt64
    private let verdict: Verdict
    /// Nanoseconds between two requests of a writer, on average.
    private let pauseNanoseconds: UInt64
    private var isOpen = false
    private var isOver = false
    private var busy = 0
    private var doors: [UnsafeContinuation<Void, Never>] = []
    var counts = Counts()
    /// Told of each acknowledgement: when its request was begun, and the present.
    var onAcknowledged: ((_ begunNanoseconds: UInt64, _ nowNanoseconds: UInt64) -> Void)?
    /// What readers of one disk have been shown: one behind the highest sequence of each partition.
    var shown: [String: [Int: UInt64]] = [:]

    init(_ group: TrialGroup, seed: UInt64, rate: Int, _ verdict: Verdict) {
        ledger = Ledger(streams: Self.streams, families: Self.families, seed: seed)
        self.group = group
        self.seed = seed
        self.verdict = verdict
        seams = group.seams
        pauseNanoseconds = UInt64(Self.writers) * 1_000_000_000 / UInt64(max(1, rate))
        for number in 0..<Self.writers { client("writer \(number)") { [self] in try await write($0, $1) } }
        for number in 0..<Self.readers {
            client("reader \(number)") { [self] in try await read($0, $1, isLinearizable: true) }
            client("local reader \(number)") { [self] in try await read($0, $1, isLinearizable: false) }
        }
    }

    // MARK: The gate

    func open() {
        isOpen = true
        let waiting = doors
        doors = []
        for door in waiting { door.resume() }
    }

    /// Lets nobody begin anything new. Writers whose write has an id go on until its outcome is known.
    func shut() { isOpen = false }

    var isIdle: Bool { busy == 0 }

    /// Ends the clients, once they are idle.
    func end() {
        isOver = true
        open()
    }

    private func client(
        _ name: String, _ act: @escaping (Connections, VirtualRandom) async throws -> Void
    ) {
        seams.scheduler.spawn(name) { [self] in
            let random = VirtualRandom(seed: seed, concern: name)
            let connections = Connections()
            while true {
                while !isOpen { await withUnsafeContinuation { doors.append($0) } }
                if isOver { return }
                busy += 1
                do { try await act(connections, random) } catch let violation as Violation {
                    verdict.object(violation)
                } catch { connections.drop() }
                busy -= 1
                await seams.clock.sleep(nanoseconds: random.next(below: 2 * pauseNanoseconds))
            }
        }
    }

    /// A client's connections, one a node and life.
    final class Connections {
        private var clients: [String: (address: SocketAddress, client: TrialClient)] = [:]

        func client(of node: TrialNode, _ words: [String], _ seams: Seams) async throws -> TrialClient {
            guard let address = node.clientAddress else { throw TrialClient.Failure.notConnected("no address") }
            if let (known, client) = clients[node.name], known == address { return client }
            let client = try await TrialClient.connect(address, seams)
            if !words.isEmpty { _ = try await client.call(words.map { Array($0.utf8) }, seconds: 5) }
            clients[node.name] = (address, client)
            return client
        }

        func drop(_ node: TrialNode) { clients[node.name] = nil }
        func drop() { clients = [:] }
    }
}
