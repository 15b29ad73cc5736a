import CordwoodBase
import CordwoodRaft

extension LogStoreConformance {
    static let transferChecks: [Check] = [
        Check("an exported range is installed on a fresh store as it was") { log in
            try await log.append(9, term: 1)
            let source = log.model
            let exported = try await log.store.export(1..<10)
            try await log.startAfresh()
            try await log.install(exported, 1..<10, of: source)
            try await log.append(3, term: 2)
        },
        Check("installed at 5 on a fresh store: start 5, and appends go on (9.2)") { log in
            try await log.append(9, term: 3, withSlices: false)
            let source = log.model
            let exported = try await log.store.export(5..<10)
            try await log.startAfresh()
            try await log.install(exported, 5..<10, of: source)
            try expectEqual(log.store.startIndex, 5, "start")
            try expectEqual(log.store.nextIndex, 10, "next")
            try expectEqual(try log.store.term(at: 4), 3, "term at the boundary")
            try await log.append(2, term: 3, withSlices: false)
        },
        Check("10 entries, 1 to 5 of them installed at 8, leave 12 (9.2)") { log in
            try await log.append(10, term: 1, withSlices: false)
            let entries = Array(log.model.entries.prefix(5))
            let exported = try await log.store.export(1..<6)
            try await log.install(exported, moved: entries, to: 8)
            try expectEqual(log.store.nextIndex, 13, "next")
            try await log.append(2, term: 1, withSlices: false)
        },
        Check("the same bytes may be installed twice, and again after appends (9.2)") { log in
            try await log.append(10, term: 1)
            let source = log.model
            let exported = try await log.store.export(4..<11)
            try await log.install(exported, 4..<11, of: source)
            try await log.install(exported, 4..<11, of: source)
            try await log.append(4, term: 2)
            try await log.install(exported, 4..<11, of: source)
            try expectEqual(log.store.nextIndex, 11, "next")
        },
        Check("installed over a conflicting tail, the exported range wins") { log in
            try await log.append(10, term: 5)
            let source = log.model
            let exported = try await log.store.export(1..<11)
            try await log.startAfresh()
            try await log.append(14, term: 2)
            try await log.install(exported, 1..<11, of: source)
            try expectEqual(log.store.lastEntry, LogPosition(index: 10, term: 5), "last entry")
        },
        Check("an installation beyond next on a store with entries is refused") { log in
            try await log.append(10, term: 1, withSlices: false)
            let exported = try await log.store.export(1..<4)
            try await expectRefused(log, "installation at 12 where 11 is next") {
                try await log.store.install(exported, at: 12)
            }
            try await log.compact(through: 5)
            try await expectRefused(log, "installation at 5 where 6 is the start") {
                try await log.store.install(exported, at: 5)
            }
        },
        Check("a damaged export changes nothing, whichever byte is damaged") { log in
            try await log.append(4, term: 1, payloadBytes: 30)
            let exported = try await log.store.export(2..<5)
            for position in exported.indices {
                var damaged = exported
                damaged[position] ^= 0x10
                try await expectError("export with byte \(position) damaged", "a refusal", \.isDamageOrRefusal) {
                    try await log.store.install(damaged, at: 2)
                }
            }
            try await log.verify()
        },
        Check("a cut export changes nothing, wherever it is cut") { log in
            try await log.append(4, term: 1, payloadBytes: 30)
            let exported = try await log.store.export(2..<5)
            for count in exported.indices {
                try await expectError("export cut to \(count) bytes", "a refusal", \.isDamageOrRefusal) {
                    try await log.store.install(Array(exported.prefix(count)), at: 2)
                }
            }
            try await log.verify()
        },
        Check("an export of what is not there is an error") { log in
            try await log.append(9, term: 1)
            try await log.compact(through: 3)
            try await expectError(.purged(2), "export of 2..<5") { _ = try await log.store.export(2..<5) }
            try await expectError(.notFound(10), "export of 8..<12") { _ = try await log.store.export(8..<12) }
        },
        Check("exports of equal logs are equal") { log in
            try await log.append(9, term: 1)
            let source = log.model
            let exported = try await log.store.export(1..<10)
            try await log.startAfresh()
            try await log.append(4, term: 8)
            try await log.install(exported, 1..<10, of: source)
            try expectEqual(try await log.store.export(1..<10), exported, "export of the installed range")
        },
    ]
}
