import Testing

@testable import CordwoodTrials

/// The ledger is what judges a run, so each promise is broken once here.
@Suite("The ledger of a trial")
struct LedgerTests {
    private let ledger = Ledger(streams: 5, families: 1, seed: 7)

    private func place(_ sequence: UInt64, version: UInt64? = nil) -> Ledger.Place {
        Ledger.Place(partition: 3, sequence: sequence, version: version ?? sequence)
    }

    private func write(hasID: Bool = true, expectsNext: Bool = false) -> Int {
        ledger.begin(stream: 0, payloadBytes: 40, hasID: hasID, expectsNext: expectsNext)
    }

    private func acknowledge(_ number: Int, at place: Ledger.Place) throws {
        try ledger.acknowledge(number, at: place, eventID: ledger.eventID(of: number), by: "a")
    }

    private func shown(_ number: Int, at place: Ledger.Place) -> Ledger.Shown {
        Ledger.Shown(
            place: place, streamID: ledger.streamID(of: number), eventID: ledger.eventID(of: number),
            transactionID: transactionID(of: number), payload: ledger.payload(of: number))
    }

    /// The first event's id with the digit that says whether others come with it.
    private func transactionID(of number: Int) -> String {
        let batch = ledger.writes[number].batch
        var digits = Array(ledger.eventID(of: batch.lowerBound))
        if batch.count > 1 { digits[19] = Character(String(UInt8(digits[19].hexDigitValue ?? 0) & 7, radix: 16)) }
        return String(digits)
    }

    /// Events over three streams, the last of which is that of the first, too.
    private func transaction(hasID: Bool = true, _ expectation: Ledger.Draft.Expectation = .any) -> Range<Int> {
        ledger.begin(
            [
                Ledger.Draft(stream: 0, payloadBytes: 30, expectation: expectation),
                Ledger.Draft(stream: 1, payloadBytes: 31), Ledger.Draft(stream: 0, payloadBytes: 32),
            ], hasID: hasID)
    }

    /// Where a transaction of the kind above stands that begins at a sequence.
    private func places(from sequence: UInt64, version: UInt64 = 0) -> [Ledger.Place] {
        [
            place(sequence, version: version), place(sequence + 1, version: 0),
            place(sequence + 2, version: version + 1),
        ]
    }

    private func acknowledge(_ batch: Range<Int>, at places: [Ledger.Place]) throws {
        let receipts = zip(batch, places).map { number, place in
            Ledger.Receipt(
                place: place, eventID: ledger.eventID(of: number), streamID: ledger.streamID(of: number))
        }
        try ledger.acknowledge(batch, as: receipts, by: "a")
    }

    private func promise(_ body: () throws -> Void) -> String? {
        do { try body() } catch { return (error as? Violation)?.promise }
        return nil
    }

    @Test("finds nothing wrong where nothing is")
    func sound() throws {
        for sequence in 0..<5 as Range<UInt64> {
            let number = write()
            try acknowledge(number, at: place(sequence))
            try acknowledge(number, at: place(sequence))
            try ledger.observe(shown(number, at: place(sequence)), by: "b")
        }
        try ledger.deny(write())
        try ledger.sweep(partition: 3, end: 5)
        #expect(ledger.acknowledged == 5 && ledger.denied == 1 && ledger.open == 0)
        #expect(ledger.shownEnd(of: 3) == 5 && ledger.acknowledgedEnd(of: 0) == 5)
    }

    @Test("sees an acknowledged write that is gone")
    func lost() throws {
        try acknowledge(write(), at: place(0))
        try acknowledge(write(), at: place(1))
        #expect(promise { try ledger.sweep(partition: 3, end: 1) } == "nothing acknowledged or shown is lost")
    }

    @Test("sees a write that was shown and is gone, though nobody acknowledged it")
    func vanished() throws {
        try ledger.observe(shown(write(), at: place(0)), by: "a")
        #expect(promise { try ledger.sweep(partition: 3, end: 0) } == "nothing acknowledged or shown is lost")
    }

    @Test("sees a write that stands twice, and one that is answered differently the second time")
    func doubled() throws {
        let number = write()
        try acknowledge(number, at: place(0))
        #expect(promise { try ledger.observe(shown(number, at: place(1)), by: "b") } == "a write has one place")
        #expect(promise { try acknowledge(number, at: place(2)) } == "a write has one place")
    }

    @Test("sees two replicas that hold different events at one place")
    func diverged() throws {
        let (one, other) = (write(), write())
        try ledger.observe(shown(one, at: place(0)), by: "a")
        #expect(promise { try ledger.observe(shown(other, at: place(0)), by: "b") } == "a place holds one event")
    }

    @Test("sees a hole in a partition, and one in a stream")
    func gaps() throws {
        try acknowledge(write(), at: place(1))
        #expect(promise { try ledger.sweep(partition: 3, end: 2) } == "sequences are gapless")
        try acknowledge(write(), at: place(0, version: 2))
        #expect(promise { try ledger.sweep(partition: 3, end: 2) } == "versions are gapless and in order")
    }

    @Test("sees an event that nobody sent, and one with other bytes")
    func foreign() throws {
        let number = write()
        var event = shown(number, at: place(0))
        event.payload = Array("12345 nobody".utf8)
        #expect(promise { try ledger.observe(event, by: "a") } == "nothing comes from nowhere")
        event = shown(number, at: place(0))
        event.payload[39] ^= 1
        #expect(promise { try ledger.observe(event, by: "a") } == "an event is as it was sent")
        event = shown(number, at: place(0))
        event.eventID = ledger.eventID(of: write())
        #expect(promise { try ledger.observe(event, by: "a") } == "an event is as it was sent")
    }

    @Test("sees a denied write that is stored, before and after")
    func denied() throws {
        let number = write(hasID: false)
        try ledger.deny(number)
        #expect(promise { try ledger.observe(shown(number, at: place(0)), by: "a") } == "what is denied is nowhere")
        let other = write(hasID: false)
        try ledger.observe(shown(other, at: place(1)), by: "a")
        #expect(promise { try ledger.deny(other) } == "what is denied is nowhere")
    }

    @Test("sees a write that stands before one which was acknowledged before it was sent")
    func reordered() throws {
        try acknowledge(write(), at: place(5, version: 5))
        let later = write()
        #expect(
            promise { try acknowledge(later, at: place(4, version: 4)) }
                == "a write stands behind those that were acknowledged before it")
    }

    @Test("sees an expected version that was not kept")
    func wrongVersion() throws {
        try acknowledge(write(), at: place(0))
        let number = write(expectsNext: true)
        #expect(ledger.writes[number].expectedVersion == 1)
        #expect(promise { try acknowledge(number, at: place(2)) } == "an expected version is kept")
    }

    // MARK: Transactions

    @Test("finds nothing wrong with whole transactions")
    func soundTransactions() throws {
        try acknowledge(write(), at: place(0))
        let batch = transaction()
        try acknowledge(batch, at: places(from: 1, version: 1))
        try acknowledge(batch, at: places(from: 1, version: 1))
        for (number, place) in zip(batch, places(from: 1, version: 1)) {
            try ledger.observe(shown(number, at: place), by: "b")
        }
        try ledger.observeEnd(shown(batch.upperBound - 1, at: places(from: 1, version: 1)[2]), by: "b")
        try ledger.deny(transaction(.impossible))
        _ = transaction()
        try ledger.sweep(partition: 3, end: 4)
        #expect(ledger.acknowledged == 4 && ledger.denied == 3)
        #expect(ledger.transactions.begun == 3 && ledger.transactions.events == 9)
        #expect(ledger.transactions.acknowledged == 1 && ledger.transactions.denied == 1)
        #expect(ledger.transactions.open == 1)
        #expect(ledger.sharedKey(of: batch.lowerBound) != nil && ledger.families == 1)
    }

    @Test("sees a transaction of which only a part is stored, its beginning or its end", arguments: [0..<2, 1..<3])
    func torn(part: Range<Int>) throws {
        let batch = transaction()
        for (offset, number) in batch.enumerated().filter({ part.contains($0.offset) }) {
            let at = UInt64(offset - part.lowerBound)
            try ledger.observe(shown(number, at: place(at, version: number == batch.lowerBound ? 0 : at)), by: "a")
        }
        #expect(
            promise { try ledger.sweep(partition: 3, end: 2) } == "a transaction is stored as a whole or not at all")
    }

    @Test("sees a transaction with something in between, and one in another order")
    func scattered() throws {
        let batch = transaction()
        try ledger.observe(shown(batch.lowerBound, at: place(0)), by: "a")
        #expect(
            promise { try ledger.observe(shown(batch.lowerBound + 1, at: place(2)), by: "a") }
                == "a transaction stands in one piece")
        let other = transaction()
        try ledger.observe(shown(other.lowerBound + 1, at: place(5)), by: "a")
        #expect(
            promise { try ledger.observe(shown(other.lowerBound, at: place(6)), by: "a") }
                == "a transaction stands in one piece")
    }

    @Test("sees an answer to a transaction that lacks an event or names another stream")
    func answeredInPart() throws {
        let batch = transaction()
        #expect(
            promise { try acknowledge(batch, at: Array(places(from: 0).dropLast())) } == "an answer names its events")
        let receipts = zip(batch, places(from: 0)).map { number, place in
            Ledger.Receipt(place: place, eventID: ledger.eventID(of: number), streamID: "stream-4")
        }
        #expect(promise { try ledger.acknowledge(batch, as: receipts, by: "a") } == "an answer names its events")
    }

    @Test("sees a transaction whose last event must fail and that is stored all the same")
    func heldToItsExpectation() throws {
        let batch = transaction(.impossible)
        #expect(promise { try acknowledge(batch, at: places(from: 0)) } == "an expected version is kept")
        let denied = transaction(.impossible)
        try ledger.deny(denied)
        #expect(
            promise { try ledger.observe(shown(denied.lowerBound + 1, at: place(9)), by: "a") }
                == "what is denied is nowhere")
    }

    @Test("sees a reader whose view ends in the middle of a transaction, and events of another transaction")
    func shownInPart() throws {
        let batch = transaction()
        let event = shown(batch.lowerBound, at: place(0))
        #expect(promise { try ledger.observeEnd(event, by: "a") } == "a transaction is shown as a whole")
        var foreign = event
        foreign.transactionID = transactionID(of: transaction().lowerBound)
        #expect(promise { try ledger.observe(foreign, by: "a") } == "an event names its transaction")
        foreign.transactionID = ledger.eventID(of: batch.lowerBound)
        #expect(promise { try ledger.observe(foreign, by: "a") } == "an event names its transaction")
    }
}
