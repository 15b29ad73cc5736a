import Testing

@testable import CordwoodTrials

/// The ledger is what judges a run, so each promise is broken once here.
@Suite("The ledger of a trial")
struct LedgerTests {
    private let ledger = Ledger(streams: 2, seed: 7)

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
            payload: ledger.payload(of: number))
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
}
