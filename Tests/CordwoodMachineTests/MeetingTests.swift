import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

/// Entries of several partitions: all apply or none does, and only participants wait.
@Suite struct MeetingTests {
    @Test func everyParticipantAppliesWhenNobodyObjects() throws {
        try VirtualWorld(seed: 1).run { seams in
            let bench = Bench(seams)
            try bench.propose([0: 1])
            let raft = try bench.propose([0: 10, 1: 20, 2: 30])
            try bench.propose([1: 2])
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 11)
            #expect(bench.adders[1]?.sum == 22)
            #expect(bench.adders[2]?.sum == 30)
            #expect(bench.completions.filter { $0.raftIndex == raft }.map(\.outcome.refused) == [false, false, false])
        }
    }

    @Test func oneObjectionTurnsTheEntryDownEverywhereAlsoAfterARestart() throws {
        let world = VirtualWorld(seed: 2)
        let entries = try world.run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { if $0.context.partition == 1 { $0.objectsTo = 20 } }
            try bench.propose([0: 1])
            let raft = try bench.propose([0: 10, 1: 20])
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 1)
            let told = bench.completions.filter { $0.raftIndex == raft }
            #expect(told.map(\.outcome.refused) == [true, true])
            #expect(told.map(\.refusal) == [.objection, .objection])
            #expect(bench.dispatcher.watermark(of: 0) == 1)
            try await bench.pool.persist(0)
            await bench.machine.close()
            return bench.entries
        }
        try world.run { seams in
            // Nobody objects any more: what was decided stands, for the participant that had not written it, too.
            let bench = Bench(seams, log: entries)
            _ = try await bench.recover()
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 1)
            #expect(bench.adders[1]?.sum == 0)
            #expect(bench.applied(1) == 1)
        }
    }

    @Test func aParticipantThatIsFrozenHoldsTheOthersUntilItGoesOn() throws {
        try VirtualWorld(seed: 3).run { seams in
            let bench = Bench(seams)
            bench.configureAdder = { if $0.context.partition == 0 { $0.failuresLeft = .max } }
            try bench.propose([0: 1])
            try bench.propose([0: 10, 1: 20])
            try bench.propose([1: 2])
            try bench.propose([2: 3])
            _ = await bench.settle(timeoutNanoseconds: 20_000_000_000)
            #expect(bench.applied(1) == 0)
            #expect(bench.applied(2) == 1)
            bench.adders[0]?.failuresLeft = 0
            #expect(bench.machine.unfreeze(0))
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.adders[0]?.sum == 11)
            #expect(bench.adders[1]?.sum == 22)
        }
    }
}
