import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodNode
import CordwoodVirtual
import Testing

/// How long batches wait for more entries. A write to the disk takes at most 120 µs here.
@Suite("The delay of a commit")
struct CommitDelayTests {
    private static let millisecond: UInt64 = 1_000_000

    /// A node whose ticks are so far apart that nothing but the delay ends a batch.
    private static func configuration(delay: UInt64, idle: UInt64? = nil) -> NodeConfiguration {
        smallNode {
            $0.commitDelayNanoseconds = delay
            $0.commitIdleDelayNanoseconds = idle
            $0.tickMilliseconds = 60_000
            $0.partitionSyncAgeNanoseconds = 3600 * 1_000_000_000
        }
    }

    /// Proposes an event behind each pause, in nanoseconds, and gives how long each took to be answered.
    private static func answerTimes(_ configuration: NodeConfiguration, pauses: [UInt64]) throws -> [UInt64] {
        try VirtualWorld(seed: 1).run { seams in
            let node = try await Node.open(configuration, machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            var times: [UInt64] = []
            for pause in pauses {
                await seams.clock.sleep(nanoseconds: pause)
                let began = seams.clock.monotonicNanoseconds
                _ = try await node.tally("event", in: 1)
                times.append(seams.clock.monotonicNanoseconds - began)
            }
            try await node.close()
            return times
        }
    }

    @Test func aWriterThatComesAgainAndAgainWaitsForTheDelay() throws {
        let delay = 5 * Self.millisecond
        let times = try Self.answerTimes(
            Self.configuration(delay: delay), pauses: [1000 * Self.millisecond, 0, 0, 10 * Self.millisecond, 0])
        // What follows a batch that did not wait leaves a delay after that one did.
        #expect(times[1] > delay - Self.millisecond && times[1] < delay)
        #expect(times[2...].allSatisfy { $0 >= delay && $0 < delay + Self.millisecond }, "\(times)")
    }

    @Test func behindAPauseOfTenDelaysABatchLeavesAtOnce() throws {
        let delay = 5 * Self.millisecond
        let times = try Self.answerTimes(
            Self.configuration(delay: delay),
            pauses: [1000 * Self.millisecond, 10 * delay, 0, 8 * delay, 10 * delay])
        #expect(times.map { $0 < Self.millisecond } == [true, true, false, false, true])
    }

    @Test func thePauseIsAnOption() throws {
        let times = try Self.answerTimes(
            Self.configuration(delay: 5 * Self.millisecond, idle: 200 * Self.millisecond),
            pauses: [1000, 190, 250].map { $0 * Self.millisecond })
        #expect(times.map { $0 < Self.millisecond } == [true, false, true])
    }

    @Test func thePauseIsOneSecondAtMostUnlessItIsStated() throws {
        let delay = 400 * Self.millisecond
        let times = try Self.answerTimes(
            Self.configuration(delay: delay), pauses: [2000, 900, 1010].map { $0 * Self.millisecond })
        #expect(times.map { $0 < Self.millisecond } == [true, false, true])
    }

    @Test func whatComesDuringTheDelayGoesWithTheBatch() throws {
        try VirtualWorld(seed: 1).run { seams in
            let node = try await Node.open(
                Self.configuration(delay: 5 * Self.millisecond), machine: TallyMachine.make, seams: seams)
            await node.lead(seams)
            _ = try await node.tally("first", in: 1)
            let before = node.durability.requestedBytes
            var answered = 0
            for number in 0..<10 {
                seams.scheduler.spawn("writer \(number)") {
                    await #expect(throws: Never.self) { try await node.tally("event \(number)", in: 1) }
                    answered += 1
                }
                await seams.clock.sleep(nanoseconds: 100_000)
            }
            while answered < 10 { await seams.clock.sleep(nanoseconds: Self.millisecond) }
            #expect(node.durability.requestedBytes == before + 4096)
            try await node.close()
        }
    }

    @Test func withoutADelayNothingWaits() throws {
        let times = try Self.answerTimes(Self.configuration(delay: 0), pauses: [0, 0, 1000 * Self.millisecond, 0])
        #expect(times.allSatisfy { $0 < Self.millisecond })
    }

    @Test func aPauseShorterThanTheDelayIsRefused() throws {
        try VirtualWorld(seed: 1).run { seams in
            await #expect(
                throws: NodeError.configuration(
                    "an idle delay of 4999999 ns is shorter than the commit delay of 5000000 ns")
            ) {
                let node = try await Node.open(
                    Self.configuration(delay: 5_000_000, idle: 4_999_999), machine: TallyMachine.make, seams: seams)
                try await node.close()
            }
            let node = try await Node.open(
                Self.configuration(delay: 5_000_000, idle: 5_000_000), machine: TallyMachine.make, seams: seams)
            try await node.close()
        }
    }
}
