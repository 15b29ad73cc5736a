import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// A workload whose every I/O operation is a place to crash at: short, and made for one operation of the log.
public struct CrashScript: Sendable, CustomStringConvertible {
    public let name: String
    public let body: @Sendable (RecordedLog) async throws -> Void

    public init(_ name: String, _ body: @escaping @Sendable (RecordedLog) async throws -> Void) {
        self.name = name
        self.body = body
    }

    public var description: String { name }

    /// The workload on stores that `opening` opens in a world; called again and again, each time in another one.
    public func workload(
        opening: @escaping @Sendable (Seams) async throws -> any RaftLogStore
    ) -> CrashWorkload {
        CrashWorkload(name) { [body] in
            var subject = CrashSubject<LogReading>(
                from: LogReading(LogModel()),
                run: { seams, ledger in try await body(RecordedLog(try await opening(seams), ledger)) },
                read: { seams in
                    let store = try await opening(seams)
                    guard store.state.health == .ok else {
                        throw ConformanceFailure("the store is \(store.state.health) after a crash")
                    }
                    try expectEqual(store.durableIndex.next, store.nextIndex, "durable + 1 after opening")
                    return try await LogReading(store)
                })
            subject.match = LogReading.match
            subject.describe = \.summary
            return subject
        }
    }

    /// The workloads of the crash harness; "7/15" is row 15 of the contract's nasty cases. Segments of
    /// 64 KiB or less make those roll that say so.
    public static let all: [CrashScript] = [
        CrashScript("birth") { _ in },
        CrashScript("append") { log in
            for count in [1, 3, 1] { try await log.append(count, term: 1) }
        },
        CrashScript("append in batches of several calls (7/3, 7/4)") { log in
            for round in 0..<3 {
                for _ in 0..<4 { try log.begin(append: 1, term: 1, payloadBytes: 200 + 300 * round) }
                try await log.settle()
            }
        },
        CrashScript("append with batches in flight (7/36)") { log in
            for _ in 0..<2 {
                for _ in 0..<4 {
                    try log.begin(append: 2, term: 1, payloadBytes: 800)
                    log.store.endBatch()
                }
                try log.begin(replaceFrom: log.store.nextIndex - 2, count: 1, term: 2)
                try await log.settle()
            }
        },
        CrashScript("append large entries") { log in
            for bytes in [4000, 9000, 500] { try await log.append(1, term: 1, payloadBytes: bytes) }
        },
        CrashScript("roll (7/11, 7/12)") { log in
            for _ in 0..<24 { try await log.append(2, term: 1, payloadBytes: 1500) }
        },
        CrashScript("save votes (7/22)") { log in
            for term in 1...3 as ClosedRange<UInt64> {
                try await log.vote(Vote(term: Term(term), candidate: ReplicaID(term)))
                try await log.append(1, term: Term(term))
            }
        },
        CrashScript("truncate the suffix (7/15, 7/19)") { log in
            try await log.append(8, term: 1)
            try await log.truncate(after: 5)
            try await log.append(2, term: 2)
            try await log.truncate(after: 1)
            try await log.truncate(after: 0)
            try await log.append(1, term: 3)
        },
        CrashScript("replace the suffix") { log in
            try await log.append(6, term: 1)
            try await log.replaceSuffix(from: 4, count: 2, term: 2)
            try await log.replaceSuffix(from: 1, count: 5, term: 3)
            try log.begin(append: 3, term: 3)
            log.store.endBatch()
            try log.begin(replaceFrom: 5, count: 2, term: 4)
            try await log.settle()
        },
        CrashScript("replace the suffix over segments (7/16)") { log in
            for _ in 0..<18 { try await log.append(2, term: 1, payloadBytes: 1500) }
            try await log.replaceSuffix(from: 7, count: 2, term: 2, payloadBytes: 1500)
            for _ in 0..<10 { try await log.append(2, term: 3, payloadBytes: 1500) }
            try await log.replaceSuffix(from: 9, count: 1, term: 4)
        },
        CrashScript("compact the prefix (7/25)") { log in
            try await log.append(8, term: 1)
            try await log.compact(through: 3)
            try await log.append(2, term: 1)
            try await log.compact(through: 10)
            try await log.append(1, term: 2)
        },
        CrashScript("compact over segments") { log in
            for round in 1...3 as ClosedRange<UInt64> {
                for _ in 0..<9 { try await log.append(2, term: Term(round), payloadBytes: 1500) }
                try await log.compact(through: RaftIndex(round * 18 - 3))
            }
        },
        CrashScript("compact beyond the end (7/26, 7/28)") { log in
            try await log.append(4, term: 1)
            try await log.compact(through: 20, term: 2)
            try await log.append(3, term: 2)
            try await log.compact(through: 50, term: 3)
        },
        CrashScript("install an exported range") { log in
            try await log.append(9, term: 1)
            try await log.reinstall(4..<8)
            try await log.append(2, term: 2)
        },
        CrashScript("install a range of several batches in its own place") { log in
            for _ in 0..<3 { try await log.append(2, term: 1, payloadBytes: 6000) }
            try await log.reinstall(2..<7)
            try await log.reinstall(2..<6)
        },
        CrashScript("everything in turn") { log in
            try await log.vote(Vote(term: 1, candidate: 1))
            for round in 1...5 as ClosedRange<UInt64> {
                let term = Term(round)
                for _ in 0..<4 { try await log.append(2, term: term, payloadBytes: 1200) }
                try await log.replaceSuffix(from: log.store.nextIndex - 3, count: 2, term: term)
                log.store.updateCommit(log.store.nextIndex - 4)
                try await log.vote(Vote(term: term.next, candidate: 2))
                try await log.truncate(after: log.store.nextIndex - 3)
                try await log.compact(through: log.store.startIndex + 2)
            }
        },
    ]
}
