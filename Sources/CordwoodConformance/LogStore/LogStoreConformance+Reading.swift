import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let readChecks: [Check] = [
        Check("an empty range gives nothing, wherever it lies (9.1/22, 9.1/23)") { log in
            try await log.append(6, term: 1)
            try await log.compact(through: 2)
            for index in [0, 1, 3, 5, 7, 100] as [RaftIndex] {
                try expectEqual(try await log.store.entries(in: index..<index, maxBytes: nil), [], "range at \(index)")
                try expectEqual(try await log.store.entries(in: index..<index, maxBytes: 0), [], "range at \(index)")
            }
        },
        Check("every range within the log gives exactly its entries (9.1/22, 9.1/25)") { log in
            try await log.append(9, term: 1)
            for from in 1...9 as ClosedRange<UInt64> {
                for end in from...10 {
                    let read = try await log.store.entries(in: RaftIndex(from)..<RaftIndex(end), maxBytes: nil)
                    try expectEqual(read.map(\.index.rawValue), Array(from..<end), "indexes")
                }
            }
        },
        Check("a range that reaches past the end names the first index that is missing (9.1/25)") { log in
            try await log.append(9, term: 1)
            for range in [5..<12, 10..<11, 9..<1000] as [Range<RaftIndex>] {
                try await expectError(.notFound(10), "range \(range)") {
                    _ = try await log.store.entries(in: range, maxBytes: nil)
                }
            }
            try await expectError(.notFound(40), "range beyond the end") {
                _ = try await log.store.entries(in: 40..<50, maxBytes: nil)
            }
        },
        Check("a range that begins before the start names the first index that is purged (9.1/25, 9.1/26)") { log in
            try await log.append(9, term: 1)
            try await log.compact(through: 4)
            for (range, index) in [(1..<9, 1), (4..<6, 4), (2..<3, 2)] as [(Range<RaftIndex>, RaftIndex)] {
                try await expectError(.purged(index), "range \(range)") {
                    _ = try await log.store.entries(in: range, maxBytes: nil)
                }
            }
        },
        Check("a byte limit gives the longest prefix that fits, and always one entry (9.1/23)") { log in
            try await log.append(10, term: 1, payloadBytes: 100)
            let counts: [(Int, Int)] = [
                (0, 1), (1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (350, 3), (999, 9), (1000, 10), (5000, 10),
            ]
            for (bytes, count) in counts {
                let read = try await log.store.entries(in: 1..<11, maxBytes: bytes)
                try expectEqual(read.map(\.index.rawValue), Array(1...UInt64(count)), "within \(bytes) bytes")
            }
            try await log.append(1, term: 1, payloadBytes: 9000)
            let large = try await log.store.entries(in: 11..<12, maxBytes: 10)
            try expectEqual(large.map(\.payload.count), [9000], "an entry larger than the limit")
        },
        Check("entries without a payload fit a limit that is reached exactly") { log in
            for bytes in [100, 0, 0, 50, 0] { try await log.append(1, term: 1, payloadBytes: bytes) }
            let counts: [(Int, Int)] = [(100, 3), (149, 3), (150, 5), (0, 1)]
            for (bytes, count) in counts {
                let read = try await log.store.entries(in: 1..<6, maxBytes: bytes)
                try expectEqual(read.map(\.index.rawValue), Array(1...UInt64(count)), "within \(bytes) bytes")
            }
            try expectEqual(try await log.store.entries(in: 2..<4, maxBytes: 0).count, 2, "entries of no bytes")
        },
        Check("a byte limit that ends before the missing index is no error") { log in
            try await log.append(5, term: 1, payloadBytes: 100)
            let read = try await log.store.entries(in: 3..<100, maxBytes: 200)
            try expectEqual(read.map(\.index.rawValue), [3, 4], "indexes")
        },
        Check("single entries: present, not there yet, purged (9.1/26, 9.1/30)") { log in
            try await log.append(11, term: 1)
            try await log.compact(through: 4)
            for index in 0...4 as ClosedRange<UInt64> {
                try await expectError(.purged(RaftIndex(index)), "entry \(index)") {
                    _ = try await log.store.entry(at: RaftIndex(index))
                }
            }
            for index in 5...11 as ClosedRange<UInt64> {
                try expectEqual(try await log.store.entry(at: RaftIndex(index)).index.rawValue, index, "index")
            }
            for index in [12, 13, 1_000_000_000_000] as [RaftIndex] {
                try await expectError(.notFound(index), "entry \(index)") { _ = try await log.store.entry(at: index) }
            }
        },
        Check("reads cross the borders of segments") { log in
            for _ in 0..<20 { try await log.append(5, term: 1, payloadBytes: 900) }
            for from in stride(from: 1, to: 90, by: 7) as StrideTo<UInt64> {
                let read = try await log.store.entries(in: RaftIndex(from)..<RaftIndex(from + 11), maxBytes: nil)
                try expectEqual(read.map(\.index.rawValue), Array(from..<from + 11), "indexes")
            }
        },
        Check("later appends are read by those who read before (9.1/27)") { log in
            try await log.append(3, term: 1)
            let store = log.store
            _ = try await store.entries(in: 1..<4, maxBytes: nil)
            let ticket = try store.append(log.makeEntries(3, term: 1))
            store.endBatch()
            try await store.waitUntilDurable(ticket)
            try expectEqual(try await store.entries(in: 2..<7, maxBytes: nil).count, 5, "entries")
        },
        Check("a configuration entry is found backward over a gap of a hundred entries (9.1/2, 9.1/3)") { log in
            var configuration = log.makeEntries(1, term: 1, withSlices: false)
            configuration[0].type = .configuration
            try await log.append(configuration)
            try await log.append(100, term: 1)
            var found: [RaftIndex] = []
            var end = log.store.nextIndex
            while end > log.store.startIndex {
                let start = end.rawValue > 32 ? end - 32 : 1
                found += try await log.store.entries(in: start..<end, maxBytes: nil)
                    .filter { $0.type == .configuration }.map(\.index)
                end = start
            }
            try expectEqual(found, [1], "configuration entries")
        },
        Check("chain values bind every entry to all before it") { log in
            try await log.append(6, term: 1)
            let before = try await log.store.entries(in: 1..<7, maxBytes: nil).map(\.chain)
            try expectEqual(Set(before).count, 6, "distinct chain values")
            try await log.replaceSuffix(from: 4, count: 3, term: 2)
            let after = try await log.store.entries(in: 1..<7, maxBytes: nil).map(\.chain)
            try expectEqual(Array(after.prefix(3)), Array(before.prefix(3)), "chain of the equal prefix")
            for position in 3..<6 {
                try expect(after[position] != before[position], "equal chain value after entry 4 was replaced")
            }
        },
    ]
}
