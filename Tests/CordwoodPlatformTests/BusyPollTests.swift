import Testing

@testable import CordwoodPlatform

@Suite("Looking for completions before the loop sleeps")
struct BusyPollTests {
    private static let limit: UInt64 = 250_000

    /// A loop that waits, and what comes of it.
    private struct Run {
        var poll = BusyPoll(limitNanoseconds: BusyPollTests.limit)
        var now: UInt64 = 1
        var looks = 0
        var looksInVain = 0
        var nanosecondsInVain: UInt64 = 0

        /// One wait that ends `nanoseconds` after it began.
        mutating func wait(_ nanoseconds: UInt64) {
            if poll.isWorthwhile(atNanoseconds: now) {
                looks += 1
                if nanoseconds < BusyPollTests.limit {
                    poll.found()
                } else {
                    looksInVain += 1
                    nanosecondsInVain += BusyPollTests.limit
                    poll.missed()
                }
            }
            now += nanoseconds
        }
    }

    @Test("What completes soon is looked for each time")
    func looksForWhatComesSoon() {
        var run = Run()
        for _ in 0..<1_000 { run.wait(90_000) }
        #expect(run.looks == 1_000)
    }

    @Test("A loop at rest spends a small share of its time on looking")
    func restsAtRest() {
        for pause: UInt64 in [1_000_000, 10_000_000, 100_000_000, 1_000_000_000] {
            var run = Run()
            while run.now < 100_000_000_000 { run.wait(pause) }
            #expect(run.nanosecondsInVain < run.now / 200, "waits of \(pause) ns")
        }
    }

    @Test("Durable writes among long pauses are looked for no more often than the time that passes pays for")
    func alternates() {
        var run = Run()
        for _ in 0..<10_000 {
            run.wait(90_000)
            run.wait(5_000_000)
        }
        #expect(run.nanosecondsInVain < run.now / 20)
    }

    @Test("After a rest the first client is looked for at once")
    func startsAgain() {
        var run = Run()
        for _ in 0..<100 { run.wait(10_000_000) }
        run.wait(2_000_000_000)
        let before = run.looks
        for _ in 0..<10 { run.wait(90_000) }
        #expect(run.looks == before + 10)
    }

    /// Whether a wait that begins at each of these times begins with looking.
    private static func looks(_ poll: inout BusyPoll, atMilliseconds times: [UInt64]) -> [Bool] {
        times.map { poll.isWorthwhile(atNanoseconds: $0 * 1_000_000) }
    }

    @Test("A loop that came late to its processor sleeps for some hundred times as long")
    func yieldsToOthers() {
        var poll = BusyPoll(limitNanoseconds: Self.limit)
        #expect(Self.looks(&poll, atMilliseconds: [1]) == [true])
        poll.cameLate(byNanoseconds: 3_000_000)
        #expect(Self.looks(&poll, atMilliseconds: [3, 300, 3_000]) == [false, false, true])
        // However long it was away, it looks again one day.
        poll.cameLate(byNanoseconds: .max)
        #expect(Self.looks(&poll, atMilliseconds: [100_000, 1_000_000]) == [false, true])
    }

    @Test("Coming late is paid for by the wake-ups that looking has saved, and no more than so many are remembered")
    func weighsLossAgainstGain() {
        var poll = BusyPoll(limitNanoseconds: Self.limit)
        for _ in 0..<1_000 { poll.found() }
        var looked: [Bool] = []
        for _ in 0..<4 {
            poll.cameLate(byNanoseconds: 4_000_000)
            looked += Self.looks(&poll, atMilliseconds: [1])
        }
        #expect(looked == [true, true, false, false])

        poll = BusyPoll(limitNanoseconds: Self.limit)
        for _ in 0..<1_000_000 { poll.found() }
        poll.cameLate(byNanoseconds: 100_000_000)
        #expect(Self.looks(&poll, atMilliseconds: [1, 1_000]) == [false, false])
    }

    @Test("A limit of 0 never looks")
    func neverLooks() {
        var poll = BusyPoll(limitNanoseconds: 0)
        for _ in 0..<10 { poll.found() }
        #expect(Self.looks(&poll, atMilliseconds: [1_000]) == [false])
    }
}
