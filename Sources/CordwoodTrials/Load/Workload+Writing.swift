import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// Appends, with and without event ids, some of them with an expected version; some are transactions of several events
/// over streams of one partition key, and of these some must fail as a whole.
extension Workload {
    /// Answers that say that nothing was done, by their codes.
    private static let nothingDone: Set<String> = [
        "CLUSTERDOWN", "TRYAGAIN", "NOSPACE", "SHUTDOWN", "LOADING", "FROZEN", "NOTLEADER", "TRANSPORTERR",
        "MAXFORWARDS", "POISONED", "READONLY", "CIRCUITOPEN", "REMOVED",
    ]
    private static let outcomeOpen: Set<String> = ["TIMEOUT", "WRITEERR"]

    private enum Outcome {
        case acknowledged
        /// Its apply has decided that it is not stored, and no later one can decide otherwise.
        case refused
        case nothingDone
        case unknown
        /// No node could be reached.
        case notSent
    }

    /// One request: sent once when its events have no ids, and until its outcome is known when they have.
    func write(_ connections: Connections, _ random: VirtualRandom) async throws {
        let batch = random.chance(1, in: Self.requestsATransaction) ? beginTransaction(random) : begin(random)
        let hasID = ledger.writes[batch.lowerBound].hasID
        let words = batch.count > 1 ? transaction(batch) : request(batch.lowerBound)
        var isUnknown = false
        while true {
            switch try await send(words, batch, connections, random) {
            case .acknowledged:
                guard hasID, random.chance(1, in: 20) else { return }
                if case .acknowledged = try await send(words, batch, connections, random) {
                    counts.repeated += 1
                    if batch.count > 1 { counts.repeatedTransactions += 1 }
                }
                return
            case .refused: return try ledger.deny(batch)
            case .nothingDone: if !hasID { return try ledger.deny(batch) }
            case .unknown:
                if !isUnknown { counts.unknown += 1 }
                isUnknown = true
                if !hasID { return }
            case .notSent: break
            }
            await seams.clock.sleep(nanoseconds: random.next(in: 10_000_000...200_000_000))
        }
    }

    private func begin(_ random: VirtualRandom) -> Range<Int> {
        // A few streams take half of the writes.
        let spread = random.chance(1, in: 2) ? UInt64(4) : UInt64(ledger.streams.count)
        let size = random.chance(1, in: 20) ? random.next(in: 4000...24_000) : random.next(in: 16...600)
        counts.operations += 1
        counts.bytes += Int(size)
        let number = ledger.begin(
            stream: Int(random.next(below: spread)), payloadBytes: Int(size), hasID: random.chance(7, in: 10),
            expectsNext: random.chance(1, in: 10))
        return number..<number + 1
    }

    /// Events over the streams of a family, one or another of them twice. Some expect the version that comes next, and
    /// some one that never comes, in their last event: nothing of these may be stored.
    private func beginTransaction(_ random: VirtualRandom) -> Range<Int> {
        let family = Int(random.next(below: UInt64(ledger.families)))
        var drafts = (0..<random.next(in: 2...6)).map { _ in
            Ledger.Draft(
                stream: family * Ledger.familyStreams + Int(random.next(below: UInt64(Ledger.familyStreams))),
                payloadBytes: Int(random.next(in: 16...600)))
        }
        switch random.next(below: 10) {
        case 0: drafts[0].expectation = .next
        case 1: drafts[drafts.count - 1].expectation = .impossible
        default: break
        }
        counts.operations += 1
        counts.bytes += drafts.reduce(0) { $0 + $1.payloadBytes }
        return ledger.begin(drafts, hasID: random.chance(7, in: 10))
    }

    private func request(_ number: Int) -> [[UInt8]] {
        var words = [Array("EAPPEND".utf8)] + event(number)
        if let key = ledger.sharedKey(of: number) { words += [Array("PARTITION_KEY".utf8), Array(key.utf8)] }
        return words
    }

    private func transaction(_ batch: Range<Int>) -> [[UInt8]] {
        let key = ledger.sharedKey(of: batch.lowerBound) ?? ""
        return [Array("EMAPPEND".utf8), Array(key.utf8)] + batch.flatMap(event)
    }

    /// An event in the words that both commands have for it.
    private func event(_ number: Int) -> [[UInt8]] {
        let write = ledger.writes[number]
        var words = [ledger.streamID(of: number), "tried"]
        if write.hasID { words += ["EVENT_ID", ledger.eventID(of: number)] }
        if let expected = write.expectedVersion {
            words += ["EXPECTED_VERSION", expected == 0 ? "EMPTY" : "\(expected - 1)"]
        }
        return (words + ["PAYLOAD"]).map { Array($0.utf8) } + [ledger.payload(of: number)]
    }

    private func send(
        _ words: [[UInt8]], _ batch: Range<Int>, _ connections: Connections, _ random: VirtualRandom
    ) async throws -> Outcome {
        guard let node = anyNode(random) else { return .notSent }
        let begunNanoseconds = seams.clock.monotonicNanoseconds
        let reply: RESPValue
        do {
            reply = try await connections.client(of: node, [], seams).call(words, seconds: 5)
        } catch {
            connections.drop(node)
            if case .unanswered? = error as? TrialClient.Failure { return .unknown }
            return .notSent
        }
        if let receipts = Ledger.Receipt.all(of: reply) {
            try ledger.acknowledge(batch, as: receipts, by: node.name)
            onAcknowledged?(begunNanoseconds, seams.clock.monotonicNanoseconds)
            return .acknowledged
        }
        let code = reply.errorCode ?? ""
        counts.codes[code, default: 0] += 1
        if Self.outcomeOpen.contains(code) { return .unknown }
        if code == "WRONGVER", ledger.writes[batch].contains(where: { $0.expectedVersion != nil }) { return .refused }
        guard Self.nothingDone.contains(code) else {
            throw Violation("answers are those of the protocol", "\(node.name) answered writes \(batch): \(reply)")
        }
        return .nothingDone
    }
}
