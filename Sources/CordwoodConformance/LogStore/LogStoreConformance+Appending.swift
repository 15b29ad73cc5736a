import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let appendChecks: [Check] = [
        Check("one entry at a time") { log in
            for _ in 0..<12 { try await log.append(1, term: 1) }
        },
        Check("many entries at once") { log in try await log.append(200, term: 1) },
        Check("nothing at all") { log in
            try await log.append(0, term: 1)
            try await log.append(3, term: 1)
            try await log.append(0, term: 1)
        },
        Check("payloads of every size around sectors and blocks, the empty one too") { log in
            for bytes in [0, 1, 7, 8, 400, 440, 510, 511, 512, 513, 3900, 4000, 4095, 4096, 4097, 9000] {
                try await log.append(1, term: 1, payloadBytes: bytes)
            }
        },
        Check("payloads of zeros and of ones stay what they are") { log in
            for byte in [0x00, 0xff] as [UInt8] {
                var entries = log.makeEntries(3, term: 1)
                for position in entries.indices {
                    entries[position].payload = [UInt8](repeating: byte, count: 4096)[...]
                }
                try await log.append(entries)
            }
        },
        Check("enough to fill several segments") { log in
            for _ in 0..<30 { try await log.append(5, term: 1, payloadBytes: 900) }
        },
        Check("every type of entry, with its timestamp") { log in
            var entries = log.makeEntries(EntryType.allCases.count, term: 2, withSlices: false)
            for (position, type) in EntryType.allCases.enumerated() {
                entries[position].type = type
                entries[position].timestampMicroseconds = Int64(position) * 7
            }
            try await log.append(entries)
        },
        Check("entries of several partitions, which keep their slices") { log in
            try await log.append(40, term: 1)
            let read = try await log.store.entries(in: 1..<41, maxBytes: nil)
            try expect(read.contains { $0.slices.count == 2 }, "no entry with two slices")
            try expect(read.contains { $0.slices.isEmpty }, "no entry without slices")
        },
        Check("refuses a gap") { log in
            try await log.append(3, term: 1)
            var entries = log.makeEntries(2, term: 1, withSlices: false)
            for position in entries.indices { entries[position].index += 1 }
            try await expectRefused(log, "append at 5 where 4 is next") { _ = try log.store.append(entries) }
        },
        Check("refuses a gap within the entries given") { log in
            try await log.append(3, term: 1)
            var entries = log.makeEntries(3, term: 1, withSlices: false)
            entries[2].index += 1
            try await expectRefused(log, "append of 4, 5, 7") { _ = try log.store.append(entries) }
        },
        Check("refuses an index that is there already, and one that is given twice") { log in
            try await log.append(3, term: 1)
            let old = log.makeEntries(1, term: 2, from: 3, withSlices: false)
            try await expectRefused(log, "append at 3 where 4 is next") { _ = try log.store.append(old) }
            var twice = log.makeEntries(2, term: 2, withSlices: false)
            twice[1].index = twice[0].index
            try await expectRefused(log, "append of 4, 4") { _ = try log.store.append(twice) }
        },
        Check("refuses index 0 on a fresh store") { log in
            let entry = Entry(index: 0, term: 1, type: .noOperation, timestampMicroseconds: 1)
            try await expectRefused(log, "append at 0") { _ = try log.store.append([entry]) }
        },
        Check("refuses a slice that is not the next of its partition") { log in
            try await log.append(9, term: 1)
            var entries = log.makeEntries(1, term: 1)
            entries = entries.map { entry in
                var changed = entry
                changed.slices = EntrySlices(
                    entry.slices.map { slice in
                        var slice = slice
                        slice.partitionIndex += 1
                        return slice
                    })
                return changed
            }
            try await expectRefused(log, "append of a slice beyond next(p)") { _ = try log.store.append(entries) }
        },
        Check("the caller may change its entries after the call") { log in
            var entries = log.makeEntries(4, term: 1)
            try await log.append(entries)
            for position in entries.indices { entries[position].payload[0] ^= 0xff }
            try await log.verify()
        },
        Check("entries can be read as soon as append returns, before they are durable") { log in
            try await log.append(2, term: 1)
            let entries = log.makeEntries(3, term: 1)
            let ticket = try log.store.append(entries)
            try expectEqual(log.store.nextIndex, 6, "next")
            try expectEqual(try log.store.term(at: 5), 1, "term at 5")
            let read = try await log.store.entries(in: 3..<6, maxBytes: nil)
            try expectEqual(read.map(\.payload), entries.map(\.payload), "payloads")
            log.store.endBatch()
            try await log.store.waitUntilDurable(ticket)
        },
        Check("many appends and one end of the batch, the normal pattern of a leader") { log in
            var last: LogTicket?
            let entries = log.makeEntries(50, term: 1)
            for entry in entries { last = try log.store.append([entry]) }
            log.store.endBatch()
            if let last { try await log.store.waitUntilDurable(last) }
            try expect(log.store.durableIndex >= 50, "durable \(log.store.durableIndex)")
        },
        Check("an append after reopening goes on where the log ended") { log in
            for round in 1...5 as ClosedRange<UInt64> {
                try await log.append(3, term: Term(round))
                try await log.reopen()
                try await log.verify()
            }
        },
    ]
}
