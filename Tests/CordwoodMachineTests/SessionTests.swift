import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodVirtual
import Testing

@Suite struct SessionTests {
    private func opened(_ table: inout SessionTable, at index: RaftIndex, _ now: Int64, timeout: UInt64 = 100)
        -> SessionOutcome?
    { table.apply(SessionRequest.open(timeoutMicroseconds: timeout).encoded(), at: index, atMicroseconds: now) }

    private func uses(_ table: inout SessionTable, _ session: UInt64, at index: RaftIndex, _ now: Int64) -> Bool {
        table.use(session, at: index, atMicroseconds: now)
    }

    private func closes(_ table: inout SessionTable, _ session: UInt64, at index: RaftIndex, _ now: Int64)
        -> SessionOutcome?
    { table.apply(SessionRequest.close(session: session).encoded(), at: index, atMicroseconds: now) }

    @Test func aSessionIsNumberedByItsEntryAndIsOpenUntilItIsClosed() {
        var table = SessionTable()
        #expect(opened(&table, at: 7, 0) == .opened(session: 7, evicted: nil))
        #expect(uses(&table, 7, at: 8, 50))
        #expect(closes(&table, 7, at: 9, 60) == .closed(session: 7))
        #expect(!uses(&table, 7, at: 10, 61))
        #expect(closes(&table, 7, at: 11, 62) == .notFound(session: 7))
    }

    @Test func aSessionExpiresByTheLeadersTimestampsAloneAndNeverComesBack() {
        var table = SessionTable()
        _ = opened(&table, at: 1, 1000)
        #expect(uses(&table, 1, at: 2, 1100))
        #expect(uses(&table, 1, at: 3, 1200))
        #expect(!uses(&table, 1, at: 4, 1301))
        #expect(!uses(&table, 1, at: 5, 1302))
        #expect(table.count == 0)
    }

    @Test func theOneUnusedForLongestGivesWayWhenTheTableIsFull() {
        var table = SessionTable(capacity: 2)
        _ = opened(&table, at: 1, 0)
        _ = opened(&table, at: 2, 1)
        _ = table.use(1, at: 3, atMicroseconds: 2)
        #expect(opened(&table, at: 4, 3) == .opened(session: 4, evicted: 2))
        #expect(!uses(&table, 2, at: 5, 4))
        #expect(uses(&table, 1, at: 6, 5))
    }

    @Test func aTableReadBackDecidesOnEntriesDispatchedAgainAsItDidBefore() throws {
        var table = SessionTable()
        _ = opened(&table, at: 1, 0)
        let verdicts = (2..<20 as Range<UInt64>).map {
            table.use($0 % 3 == 0 ? 1 : 99, at: RaftIndex($0), atMicroseconds: Int64($0))
        }
        var again = try SessionTable(decoding: table.encoded())
        #expect(again == table)
        let repeated = (2..<20 as Range<UInt64>).map {
            again.use($0 % 3 == 0 ? 1 : 99, at: RaftIndex($0), atMicroseconds: Int64($0))
        }
        #expect(repeated == verdicts)
        #expect(again == table)
        again.forgetRefusals(below: 20)
        #expect(again.encoded().count < table.encoded().count)
    }

    @Test func bytesThatAreNoTableAreRefused() throws {
        var table = SessionTable()
        _ = opened(&table, at: 1, 0)
        _ = table.use(9, at: 2, atMicroseconds: 1)
        let bytes = table.encoded()
        for length in 1..<bytes.count {
            #expect(throws: DecodeError.self) { try SessionTable(decoding: Array(bytes.prefix(length))) }
        }
        #expect(try SessionTable(decoding: []) == SessionTable())
        #expect(throws: DecodeError.self) { try SessionRequest(decoding: [3, 0, 0, 0, 0, 0, 0, 0, 0]) }
    }

    @Test func aCommandOfAClosedSessionIsRecordedAndNeverReachesItsMachine() throws {
        let world = VirtualWorld(seed: 1)
        let entries = try world.run { seams in
            let bench = Bench(seams)
            bench.machine.sessionOf = { payload in SessionCall(session: number(payload) / 100, sequence: 1) }
            var opened: UInt64 = 0
            bench.machine.onSession = { _, _, outcome in
                if case .opened(let session, _) = outcome { opened = session }
            }
            try bench.append(.session, .none, SessionRequest.open(timeoutMicroseconds: 1 << 40).encoded())
            #expect(opened == 1)
            try bench.propose([0: 107])
            try bench.propose([0: 507])
            try bench.propose([0: 108])
            let settled = await bench.settle()
            #expect(settled == .applied)
            #expect(bench.completions.map(\.refusal) == [nil, .sessionNotOpen, nil])
            #expect(bench.adders[0]?.sum == 215)
            try await bench.pool.persistAll()
            await bench.machine.close()
            return (bench.entries, bench.checkpoint)
        }
        try world.run { seams in
            // What was refused is in the partition's log: applying it again needs no sessions.
            let bench = Bench(seams, log: entries.0, checkpoint: entries.1)
            _ = try await bench.recover(checkpoint: entries.1)
            _ = await bench.machine.machine(of: 0)
            #expect(bench.adders[0]?.sum == 215)
            #expect(bench.applied(0) == 3)
        }
    }
}
