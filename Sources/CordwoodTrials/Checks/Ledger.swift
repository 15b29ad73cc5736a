import CordwoodEvents
import CordwoodVirtual

/// What was sent to the group, what the group has said of it, and whether the two fit.
///
/// Every event that is sent is a write and has a number, and its payload begins with it, so an event that is read
/// anywhere names the write that it came from. A write has one place (partition, sequence, version) for ever: the first
/// answer or read that names it fixes it, and every later one, of whatever node, must name the same. The other way
/// round a place belongs to one write. From these two it follows that nothing is doubled, moved, exchanged or shown and
/// then not there; that replicas agree on the order; and that a write that is sent again gets the same answer.
///
/// The writes of a transaction have numbers one after the other, and so are their sequences. All of them are there or
/// none is: in every partition that is swept, in every page that ends where the reader's view ends, and in what is
/// acknowledged and denied.
final class Ledger {
    struct Place: Hashable, CustomStringConvertible {
        var partition: Int
        var sequence: UInt64
        var version: UInt64

        var description: String { "partition \(partition), sequence \(sequence), version \(version)" }
    }

    /// An event as a node shows it.
    struct Shown {
        var place: Place
        var streamID: String
        var eventID: String
        var transactionID: String
        var payload: [UInt8]
    }

    /// What the answer to an append says of one of its events.
    struct Receipt {
        var place: Place
        var eventID: String
        /// Only a transaction's answer names it.
        var streamID: String?
    }

    /// An event of a transaction that is yet to be sent.
    struct Draft {
        enum Expectation {
            case any
            /// The version behind the highest that was acknowledged.
            case next
            /// A version that no stream will come to: the transaction must be refused as a whole.
            case impossible
        }

        var stream: Int
        var payloadBytes: Int
        var expectation = Expectation.any
    }

    struct Write {
        var stream: Int
        var payloadBytes: Int
        /// The writer gave the event an id, so it may be sent again.
        var hasID: Bool
        /// It is to be stored only as this version of its stream.
        var expectedVersion: UInt64?
        /// The first version that it may have: those below were acknowledged before it was sent.
        var lowestVersion: UInt64
        /// The writes of the request that it is sent with; more than one in a transaction.
        var batch: Range<Int>
        var place: Place?
        var isAcknowledged = false
        /// The group has said that it will never be stored.
        var isDenied = false
    }

    let streams: [String]
    private let keys: [PartitionKey]
    private let seed: UInt64
    private(set) var writes: [Write] = []
    /// The write at each sequence of a partition, plus one; 0 where none has been seen.
    private var numbers: [Int: ContiguousArray<UInt32>] = [:]
    /// By stream: the next version, as far as `sweep` has gone, and the one behind the highest acknowledged.
    private var sweptVersions: [UInt64]
    private var acknowledgedVersions: [UInt64]
    private var sweptEnds: [Int: UInt64] = [:]
    private(set) var acknowledged = 0
    private(set) var denied = 0
    /// Of transactions.
    private(set) var transactions = TransactionCounts()

    struct TransactionCounts: Hashable {
        var begun = 0
        var events = 0
        var acknowledged = 0
        var denied = 0

        /// Of which nobody knows what became of them, as far as answers go.
        var open: Int { begun - acknowledged - denied }
    }

    /// Streams that have a partition key in common.
    static let familyStreams = 4
    let families: Int
    private static let impossibleVersion: UInt64 = 1 << 40

    /// - Parameters:
    ///   - families: of the streams, the first ones are in so many families; transactions go over one of them. The
    ///     other streams have the keys that follow from their ids.
    ///   - seed: event ids and the bytes of payloads follow from it and the write's number.
    init(streams: Int, families: Int = 0, seed: UInt64) {
        self.streams = (0..<streams).map { "stream-\($0)" }
        self.families = families
        keys = self.streams.enumerated().map { number, name in
            let family = number / Self.familyStreams
            return PartitionKey(defaultFor: family < families ? "family-\(family)" : name)
        }
        self.seed = seed
        sweptVersions = Array(repeating: 0, count: streams)
        acknowledgedVersions = sweptVersions
    }

    /// Writes of which nobody knows what became of them, as far as answers go.
    var open: Int { writes.count - acknowledged - denied }

    // MARK: Writing

    /// Enters a write before it is sent.
    func begin(stream: Int, payloadBytes: Int, hasID: Bool, expectsNext: Bool = false) -> Int {
        enter(
            [Draft(stream: stream, payloadBytes: payloadBytes, expectation: expectsNext ? .next : .any)], hasID: hasID
        ).lowerBound
    }

    /// Enters a transaction before it is sent: several events over streams of one family.
    func begin(_ drafts: [Draft], hasID: Bool) -> Range<Int> {
        transactions.begun += 1
        transactions.events += drafts.count
        return enter(drafts, hasID: hasID)
    }

    private func enter(_ drafts: [Draft], hasID: Bool) -> Range<Int> {
        let batch = writes.count..<writes.count + drafts.count
        for draft in drafts {
            let next = acknowledgedVersions[draft.stream]
            let expected: UInt64? =
                switch draft.expectation {
                case .any: nil
                case .next: next
                case .impossible: Self.impossibleVersion
                }
            writes.append(
                Write(
                    stream: draft.stream, payloadBytes: draft.payloadBytes, hasID: hasID, expectedVersion: expected,
                    lowestVersion: next, batch: batch))
        }
        return batch
    }

    func streamID(of number: Int) -> String { streams[writes[number].stream] }

    /// The key that the write's stream shares with others; `nil` when it follows from the stream's id.
    func sharedKey(of number: Int) -> String? {
        let stream = writes[number].stream
        return stream / Self.familyStreams < families ? "\(keys[stream])" : nil
    }

    func eventID(of number: Int) -> String {
        let random = VirtualRandom(seed: seed &+ UInt64(number) &* 0x9e37_79b9).next()
        return EventID(
            milliseconds: 1_700_000_000_000 + UInt64(number), partitionHash: keys[writes[number].stream].hash,
            random: random
        ).description
    }

    func payload(of number: Int) -> [UInt8] {
        let count = writes[number].payloadBytes
        var bytes = Array("\(number) ".utf8)
        bytes.reserveCapacity(count)
        var at = UInt64(number) &+ seed
        while bytes.count < count {
            bytes.append(UInt8(ascii: "a") + UInt8(at % 26))
            at &+= 7
        }
        return bytes
    }

    /// The group has said where the writes of a request are stored.
    func acknowledge(_ batch: Range<Int>, as receipts: [Receipt], by name: String) throws(Violation) {
        guard receipts.count == batch.count else {
            throw Violation(
                "an answer names its events",
                "writes \(batch) were answered by \(name) with \(receipts.count) events")
        }
        let isFirst = !writes[batch.lowerBound].isAcknowledged
        for (number, receipt) in zip(batch, receipts) {
            if let streamID = receipt.streamID, streamID != self.streamID(of: number) {
                throw Violation(
                    "an answer names its events", "write \(number) was answered as one of \(streamID) by \(name)")
            }
            try acknowledge(number, at: receipt.place, eventID: receipt.eventID, by: name)
        }
        if batch.count > 1, isFirst { transactions.acknowledged += 1 }
    }

    /// The group has said where the write is stored.
    func acknowledge(_ number: Int, at place: Place, eventID: String, by name: String) throws(Violation) {
        let write = writes[number]
        if write.hasID, eventID != self.eventID(of: number) {
            throw Violation(
                "an answer names its event", "write \(number) was answered as \(eventID) by \(name)")
        }
        try put(number, at: place, "answered by \(name)")
        if place.version < write.lowestVersion {
            throw Violation(
                "a write stands behind those that were acknowledged before it",
                "write \(number) at \(place), version \(write.lowestVersion - 1) was acknowledged before it was sent")
        }
        if let expected = write.expectedVersion, place.version != expected {
            throw Violation("an expected version is kept", "write \(number) expected \(expected), stands at \(place)")
        }
        if !write.isAcknowledged {
            writes[number].isAcknowledged = true
            acknowledged += 1
        }
        acknowledgedVersions[write.stream] = max(acknowledgedVersions[write.stream], place.version + 1)
    }

    /// The group has said that nothing of the request was or will be stored.
    func deny(_ batch: Range<Int>) throws(Violation) {
        if batch.count > 1, !writes[batch.lowerBound].isDenied { transactions.denied += 1 }
        for number in batch { try deny(number) }
    }

    /// The group has said that the write was not and will not be stored, and it was never sent with another outcome.
    func deny(_ number: Int) throws(Violation) {
        if let place = writes[number].place {
            throw Violation("what is denied is nowhere", "write \(number) was denied and stands at \(place)")
        }
        if !writes[number].isDenied { denied += 1 }
        writes[number].isDenied = true
    }

    // MARK: Reading

    /// A node has shown an event.
    func observe(_ event: Shown, by name: String) throws(Violation) {
        guard let number = Self.number(in: event.payload), number < writes.count else {
            throw Violation(
                "nothing comes from nowhere",
                "\(name) shows at \(event.place): \(String(decoding: event.payload.prefix(60), as: UTF8.self))")
        }
        let write = writes[number]
        if event.payload != payload(of: number) || event.streamID != streams[write.stream] {
            throw Violation(
                "an event is as it was sent",
                "\(name) shows write \(number) at \(event.place) in \(event.streamID) with other bytes")
        }
        if write.hasID, event.eventID != eventID(of: number) {
            throw Violation("an event is as it was sent", "\(name) shows write \(number) as \(event.eventID)")
        }
        if write.isDenied {
            throw Violation("what is denied is nowhere", "\(name) shows write \(number) at \(event.place)")
        }
        try checkTransaction(of: event, number, by: name)
        try put(number, at: event.place, "shown by \(name)")
    }

    /// A reader's view ended with this event: if it is one of a transaction, it is the last.
    func observeEnd(_ event: Shown, by name: String) throws(Violation) {
        guard let number = Self.number(in: event.payload), number < writes.count else { return }
        let batch = writes[number].batch
        if number + 1 < batch.upperBound {
            throw Violation(
                "a transaction is shown as a whole",
                "\(name) shows nothing behind write \(number) at \(event.place), of the transaction \(batch)")
        }
    }

    /// A transaction's id is that of its first event but for the digit that tells single events from several.
    private func checkTransaction(of event: Shown, _ number: Int, by name: String) throws(Violation) {
        let write = writes[number]
        guard write.hasID else { return }
        let (expected, found) = (Array(eventID(of: write.batch.lowerBound).utf8), Array(event.transactionID.utf8))
        // Where a UUID's text has the top bit of its byte 8.
        let digit = 19
        let isNamed =
            found.count == expected.count && found[..<digit] == expected[..<digit]
            && found[(digit + 1)...] == expected[(digit + 1)...]
            && (found[digit] < UInt8(ascii: "8")) == (write.batch.count > 1)
        if !isNamed {
            throw Violation(
                "an event names its transaction",
                "\(name) shows write \(number) of \(write.batch) as one of \(event.transactionID)")
        }
    }

    private func put(_ number: Int, at place: Place, _ source: String) throws(Violation) {
        if let known = writes[number].place, known != place {
            throw Violation("a write has one place", "write \(number) is at \(known), and \(source) at \(place)")
        }
        try checkNeighbours(of: number, at: place, source)
        let sequence = Int(place.sequence)
        var row = numbers.removeValue(forKey: place.partition) ?? []
        defer { numbers[place.partition] = row }
        guard sequence < row.count + 10_000_000 else {
            throw Violation("sequences are gapless", "write \(number), \(source) at \(place), end \(row.count)")
        }
        while row.count <= sequence { row.append(0) }
        if row[sequence] != 0, Int(row[sequence]) != number + 1 {
            throw Violation(
                "a place holds one event",
                "write \(row[sequence] - 1) is at \(place), and write \(number) is \(source) there")
        }
        row[sequence] = UInt32(number + 1)
        writes[number].place = place
    }

    /// The writes of a transaction stand side by side, in their order.
    private func checkNeighbours(of number: Int, at place: Place, _ source: String) throws(Violation) {
        for other in writes[number].batch where other != number {
            guard let known = writes[other].place else { continue }
            let isThere =
                known.partition == place.partition
                && Int(known.sequence) - other == Int(clamping: place.sequence) - number
            if !isThere {
                throw Violation(
                    "a transaction stands in one piece",
                    "write \(number) is \(source) at \(place), and write \(other) of its transaction at \(known)")
            }
        }
    }

    /// One behind the highest sequence of a partition that anybody has been shown or told.
    func shownEnd(of partition: Int) -> UInt64 { UInt64(numbers[partition]?.count ?? 0) }

    /// The first version of a stream that has not been acknowledged.
    func acknowledgedEnd(of stream: Int) -> UInt64 { acknowledgedVersions[stream] }

    // MARK: Sweeping

    /// Every node has a partition up to `end`, and all of it has been observed: nothing acknowledged or shown may lie
    /// beyond, and sequences and versions are gapless.
    func sweep(partition: Int, end: UInt64) throws(Violation) {
        let row = numbers[partition] ?? []
        if row.count > end {
            let number = row.last.map { Int($0) - 1 } ?? 0
            let word = writes[number].isAcknowledged ? "acknowledged" : "shown"
            throw Violation(
                "nothing acknowledged or shown is lost",
                "partition \(partition) ends at \(end), and write \(number) was \(word) at sequence \(row.count - 1)")
        }
        var sequence = sweptEnds[partition] ?? 0
        while sequence < end {
            let entry = Int(sequence) < row.count ? row[Int(sequence)] : 0
            guard entry > 0, let place = writes[Int(entry) - 1].place else {
                throw Violation("sequences are gapless", "partition \(partition) has nothing at \(sequence)")
            }
            let batch = writes[Int(entry) - 1].batch
            if Int(entry) < batch.upperBound,
                sequence + 1 >= end || row[Int(sequence) + 1] != entry + 1
            {
                throw Violation(
                    "a transaction is stored as a whole or not at all",
                    "write \(entry - 1) is at \(place), and what follows in its transaction \(batch) is not behind it")
            }
            if Int(entry) - 1 > batch.lowerBound, sequence == 0 || row[Int(sequence) - 1] != entry - 1 {
                throw Violation(
                    "a transaction is stored as a whole or not at all",
                    "write \(entry - 1) is at \(place), and what precedes in its transaction \(batch) is not before it")
            }
            let stream = writes[Int(entry) - 1].stream
            guard place.version == sweptVersions[stream] else {
                throw Violation(
                    "versions are gapless and in order",
                    "\(streams[stream]) has version \(place.version) at \(place) where \(sweptVersions[stream]) is due")
            }
            sweptVersions[stream] += 1
            sequence += 1
        }
        sweptEnds[partition] = end
    }

    private static func number(in payload: [UInt8]) -> Int? {
        guard let end = payload.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        return Int(String(decoding: payload[..<end], as: UTF8.self))
    }
}
