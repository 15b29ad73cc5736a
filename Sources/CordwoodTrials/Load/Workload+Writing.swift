import CordwoodIO
import CordwoodRESP
import CordwoodVirtual

/// Appends, with and without event ids, some of them with an expected version.
extension Workload {
    /// Answers that say that nothing was done, by their codes.
    private static let nothingDone: Set<String> = [
        "CLUSTERDOWN", "TRYAGAIN", "NOSPACE", "SHUTDOWN", "LOADING", "FROZEN", "NOTLEADER", "TRANSPORTERR",
        "MAXFORWARDS", "POISONED", "READONLY", "CIRCUITOPEN",
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

    /// One write: sent once when it has no event id, and until its outcome is known when it has one.
    func write(_ connections: Connections, _ random: VirtualRandom) async throws {
        let number = begin(random)
        let write = ledger.writes[number]
        let words = request(number, write)
        var isUnknown = false
        while true {
            switch try await send(words, number, connections, random) {
            case .acknowledged:
                guard write.hasID, random.chance(1, in: 20) else { return }
                if case .acknowledged = try await send(words, number, connections, random) { counts.repeated += 1 }
                return
            case .refused: return try ledger.deny(number)
            case .nothingDone: if !write.hasID { return try ledger.deny(number) }
            case .unknown:
                if !isUnknown { counts.unknown += 1 }
                isUnknown = true
                if !write.hasID { return }
            case .notSent: break
            }
            await seams.clock.sleep(nanoseconds: random.next(in: 10_000_000...200_000_000))
        }
    }

    private func begin(_ random: VirtualRandom) -> Int {
        // A few streams take half of the writes.
        let spread = random.chance(1, in: 2) ? UInt64(4) : UInt64(ledger.streams.count)
        let size = random.chance(1, in: 20) ? random.next(in: 4000...24_000) : random.next(in: 16...600)
        counts.operations += 1
        counts.bytes += Int(size)
        return ledger.begin(
            stream: Int(random.next(below: spread)), payloadBytes: Int(size), hasID: random.chance(7, in: 10),
            expectsNext: random.chance(1, in: 10))
    }

    private func request(_ number: Int, _ write: Ledger.Write) -> [[UInt8]] {
        var words = ["EAPPEND", ledger.streamID(of: number), "tried"]
        if write.hasID { words += ["EVENT_ID", ledger.eventID(of: number)] }
        if let expected = write.expectedVersion {
            words += ["EXPECTED_VERSION", expected == 0 ? "EMPTY" : "\(expected - 1)"]
        }
        return (words + ["PAYLOAD"]).map { Array($0.utf8) } + [ledger.payload(of: number)]
    }

    private func send(
        _ words: [[UInt8]], _ number: Int, _ connections: Connections, _ random: VirtualRandom
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
        if let place = Ledger.Place(reply), let eventID = reply["event_id"]?.text {
            try ledger.acknowledge(number, at: place, eventID: eventID, by: node.name)
            onAcknowledged?(begunNanoseconds, seams.clock.monotonicNanoseconds)
            return .acknowledged
        }
        let code = reply.errorCode ?? ""
        counts.codes[code, default: 0] += 1
        if Self.outcomeOpen.contains(code) { return .unknown }
        if code == "WRONGVER", ledger.writes[number].expectedVersion != nil { return .refused }
        guard Self.nothingDone.contains(code) else {
            throw Violation("answers are those of the protocol", "\(node.name) answered write \(number): \(reply)")
        }
        return .nothingDone
    }
}
