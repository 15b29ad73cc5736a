import Testing

@testable import CordwoodPlatform

@Suite("The choice between two ways of a durable write")
struct DurableWriteChoiceTests {
    /// A device, as the time that a write takes by each way, in microseconds.
    private struct Device: Sendable {
        var atOnce: @Sendable (Int) -> UInt64
        var writeThenSync: @Sendable (Int) -> UInt64

        /// Idle: the two differ by little, and what is one operation is the quicker.
        static let idle = Device(atOnce: { _ in 90 }, writeThenSync: { _ in 115 })
        /// Busy: what a thread of the kernel finishes takes milliseconds.
        static let busy = Device(atOnce: { _ in 4_000 }, writeThenSync: { _ in 110 })
        /// Mostly quick, but each twentieth write waits.
        static let moody = Device(atOnce: { $0 % 20 == 19 ? 4_000 : 90 }, writeThenSync: { _ in 115 })
    }

    /// What a run of writes came to.
    private struct Run {
        var atOnce = 0
        var writeThenSync = 0
        var microseconds: UInt64 = 0

        var writes: Int { atOnce + writeThenSync }
    }

    private static func write(_ count: Int, to device: Device, by choice: inout DurableWriteChoice) -> Run {
        var run = Run()
        for number in 0..<count {
            let way = choice.next()
            let microseconds: UInt64
            switch way {
            case .atOnce:
                microseconds = device.atOnce(run.atOnce)
                run.atOnce += 1
            case .writeThenSync:
                microseconds = device.writeThenSync(number)
                run.writeThenSync += 1
            }
            run.microseconds += microseconds
            choice.record(way, nanoseconds: microseconds * 1_000)
        }
        return run
    }

    @Test("Both ways are tried before either is believed")
    func triesBoth() {
        var choice = DurableWriteChoice()
        let first = Self.write(2, to: .idle, by: &choice)
        #expect(first.atOnce == 1 && first.writeThenSync == 1)
    }

    @Test("The quicker way is taken, and the other tried now and then")
    func takesTheQuicker() {
        var choice = DurableWriteChoice()
        let run = Self.write(10_000, to: .idle, by: &choice)
        #expect(choice.preferred == .atOnce)
        #expect(run.atOnce > 9_800)
        #expect((3...200).contains(run.writeThenSync))
    }

    @Test("Trials of a way that is far slower cost little")
    func trialsAreRare() {
        var choice = DurableWriteChoice()
        _ = Self.write(2_000, to: .busy, by: &choice)
        let run = Self.write(20_000, to: .busy, by: &choice)
        #expect(choice.preferred == .writeThenSync)
        #expect(run.microseconds < UInt64(run.writes) * 115)
    }

    @Test("A way that begins to dawdle is left after one write")
    func leavesAtOnce() {
        var choice = DurableWriteChoice()
        _ = Self.write(5_000, to: .idle, by: &choice)
        #expect(choice.preferred == .atOnce)
        let run = Self.write(500, to: .busy, by: &choice)
        #expect(choice.preferred == .writeThenSync)
        #expect(run.atOnce <= 8)
    }

    @Test("A way that became quick again is found")
    func comesBack() {
        var choice = DurableWriteChoice()
        _ = Self.write(30_000, to: .busy, by: &choice)
        _ = Self.write(20_000, to: .idle, by: &choice)
        #expect(choice.preferred == .atOnce)
    }

    @Test("A way that is quick at most times and slow at some is the slower one")
    func countsTails() {
        var choice = DurableWriteChoice()
        _ = Self.write(5_000, to: .moody, by: &choice)
        let run = Self.write(50_000, to: .moody, by: &choice)
        #expect(run.microseconds < UInt64(run.writes) * 130)
    }

    @Test("A way that waits now and then does not yield to one that waits often and long")
    func comparesTails() {
        let crowded = Device(
            atOnce: { $0 % 4 == 3 ? 36_000 : 90 }, writeThenSync: { $0 % 100 == 99 ? 4_000 : 110 })
        var choice = DurableWriteChoice()
        let start = Self.write(2_000, to: crowded, by: &choice)
        #expect(start.atOnce <= 20)
        let run = Self.write(50_000, to: crowded, by: &choice)
        #expect(run.microseconds < UInt64(run.writes) * 170)
    }

    @Test("A single slow write of the device does not cost more than a moment of the slower way")
    func forgivesHiccups() {
        var choice = DurableWriteChoice()
        _ = Self.write(5_000, to: .idle, by: &choice)
        choice.record(.atOnce, nanoseconds: 20_000_000)
        let run = Self.write(20_000, to: .idle, by: &choice)
        #expect(choice.preferred == .atOnce)
        #expect(run.microseconds < UInt64(run.writes) * 105)
    }
}
