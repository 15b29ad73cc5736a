import CordwoodBase
public import CordwoodIO
public import CordwoodRaft
public import CordwoodVirtual

/// Damages the files of a store in one place at a time and opens it.
///
/// Each outcome must be one of three: the log is as it was; only operations that were never acknowledged are gone; or
/// the store refuses, with file, offsets and what is wrong there. A store that refuses may still serve the intact part,
/// read only: what it serves must be true. Anything else is silent damage and fails the sweep.
public struct DamageSweep: Sendable {
    public enum Outcome: Hashable, Sendable, CustomStringConvertible {
        case identical
        case droppedUnacknowledged
        case refused(DamageClass)

        public var description: String {
            switch self {
            case .identical: "identical"
            case .droppedUnacknowledged: "only unacknowledged data dropped"
            case .refused(let kind): "refused as \(kind.rawValue)"
            }
        }
    }

    /// How many cases ended how.
    public struct Report: Sendable, CustomStringConvertible {
        public internal(set) var outcomes: [Outcome: Int] = [:]

        public var cases: Int { outcomes.values.reduce(0, +) }

        public var description: String {
            outcomes.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
        }
    }

    /// One place that is damaged.
    public struct Damaging: Sendable {
        /// The file that is damaged: a refusal has to name it.
        public var path: String
        public var what: String
        public var body: @Sendable (inout DiskImage) -> Void

        public init(_ path: String, _ what: String, _ body: @escaping @Sendable (inout DiskImage) -> Void) {
            self.path = path
            self.what = what
            self.body = body
        }
    }

    /// Opens the store in a world; called again and again, each time in another one.
    public typealias Opening = @Sendable (Seams) async throws -> any RaftLogStore

    private let opening: Opening
    private let damageFound: @Sendable (any RaftLogStore) -> Damage?

    /// - Parameter damageFound: what a store found wrong that opened read only, when the store has a way to tell.
    public init(
        opening: @escaping Opening, damageFound: @escaping @Sendable (any RaftLogStore) -> Damage? = { _ in nil }
    ) {
        self.opening = opening
        self.damageFound = damageFound
    }

    /// The disk after a script and a clean close, and what it must hold.
    public struct Subject: Sendable {
        public var image: DiskImage
        let oracle: RecoveryOracle
    }

    /// Runs a script on a fresh store and closes it.
    public func prepare(
        seed: UInt64 = 1, _ script: @escaping @Sendable (RecordedLog) async throws -> Void
    ) throws -> Subject {
        let world = VirtualWorld(seed: seed)
        let oracle = try world.run { [opening] seams in
            let oracle = CrashLedger(LogReading(LogModel()))
            let log = RecordedLog(try await opening(seams), oracle)
            try await script(log)
            try await log.store.close()
            return RecoveryOracle(history: oracle.history, acknowledged: oracle.acknowledged, begun: oracle.begun)
        }
        return Subject(image: world.disk.image.flushed(), oracle: oracle)
    }

    /// Damages the subject in each way in turn. Throws `ConformanceFailure` at the first damage that is silent.
    public func run(_ subject: Subject, _ damagings: some Sequence<Damaging>) throws -> Report {
        var report = Report()
        for damaging in damagings {
            var image = subject.image
            damaging.body(&image)
            do {
                report.outcomes[try outcome(image, damaging, subject.oracle), default: 0] += 1
            } catch {
                throw ConformanceFailure("\(damaging.path) \(damaging.what): \(error)")
            }
        }
        return report
    }

    private func outcome(
        _ image: DiskImage, _ damaging: Damaging, _ oracle: RecoveryOracle
    ) throws -> Outcome {
        let world = VirtualWorld(seed: 9, disk: image)
        return try world.run { [opening, damageFound] seams in
            let store: any RaftLogStore
            do { store = try await opening(seams) } catch LogError.corrupt(let damage) {
                return try DamageSweep.refusal(damage, damaging)
            }
            if store.state.health == .readOnly {
                guard let damage = damageFound(store) else {
                    throw ConformanceFailure("the store is read only and does not say why")
                }
                try await DamageSweep.checkServed(store, oracle)
                return try DamageSweep.refusal(damage, damaging)
            }
            let found = try await LogReading(store)
            guard let kept = oracle.match(found) else {
                throw ConformanceFailure("silent damage: found \(found.summary), expected \(oracle.summary)")
            }
            return kept == oracle.begun ? .identical : .droppedUnacknowledged
        }
    }

    /// A refusal names the file that was damaged, a place in it unless it is gone, and what is wrong there.
    private static func refusal(_ damage: Damage, _ damaging: Damaging) throws -> Outcome {
        let namesFile = !damage.file.isEmpty && damaging.path.hasPrefix(damage.file)
        let namesPlace = damage.kind == .missing || !damage.offsets.isEmpty
        guard namesFile, namesPlace, !damage.detail.isEmpty else {
            throw ConformanceFailure("a refusal that does not name the damage: \(damage)")
        }
        return .refused(damage.kind)
    }

    /// What a store serves beside a refusal must be what was written, as far as it goes.
    private static func checkServed(_ store: any RaftLogStore, _ oracle: RecoveryOracle) async throws {
        let served = try await store.entries(in: store.startIndex..<store.nextIndex, maxBytes: nil)
        let known = oracle.history.contains { model in
            served.isEmpty || model.entries.contains { $0 == served[served.count - 1] }
        }
        guard known else {
            throw ConformanceFailure("served beside a refusal: \(served.map(\.position)), which never was the log")
        }
    }
}

extension DamageSweep {
    /// A small log with a roll, a vote, a replaced suffix and a boundary: something of everything in two segments.
    public static let script = CrashScript("a small log with something of everything") { log in
        try await log.vote(Vote(term: 1, candidate: 2))
        for _ in 0..<8 { try await log.append(2, term: 1, payloadBytes: 700) }
        try await log.replaceSuffix(from: 12, count: 3, term: 2)
        try await log.compact(through: 4)
        for _ in 0..<5 { try await log.append(1, term: 2, payloadBytes: 300) }
    }

    /// Inverts one bit of a byte, of each byte whose offset in its file is `phase` modulo `stride`; which bit it is
    /// changes from byte to byte.
    public static func flips(of image: DiskImage, every stride: Int = 1, phase: Int = 0) -> [Damaging] {
        eachFile(image) { path, size in
            Swift.stride(from: phase % stride, to: size, by: stride).map { offset in
                let bit = (offset + offset / stride) % 8
                return Damaging(path, "byte \(offset) bit \(bit) flipped") {
                    $0.flip(path, at: UInt64(offset), mask: 1 << bit)
                }
            }
        }
    }

    /// Sets each sector to zero in turn.
    public static func zeroedSectors(of image: DiskImage, sectorBytes: Int) -> [Damaging] {
        eachFile(image) { path, size in
            Swift.stride(from: 0, to: size, by: sectorBytes).map { offset in
                Damaging(path, "sector at \(offset) zeroed") {
                    $0.zero(path, UInt64(offset)..<UInt64(offset + sectorBytes))
                }
            }
        }
    }

    /// Cuts each file to each length in turn.
    public static func truncations(of image: DiskImage, every stride: Int = 1) -> [Damaging] {
        eachFile(image) { path, size in
            Swift.stride(from: 0, to: size, by: stride).map { length in
                Damaging(path, "cut to \(length) bytes") { $0.truncate(path, to: UInt64(length)) }
            }
        }
    }

    /// Takes each file away in turn.
    public static func removals(of image: DiskImage) -> [Damaging] {
        eachFile(image) { path, _ in [Damaging(path, "removed") { $0.remove(path) }] }
    }

    private static func eachFile(
        _ image: DiskImage, _ body: (String, Int) -> [Damaging]
    ) -> [Damaging] {
        image.paths.flatMap { path in body(path, image.contents(path)?.count ?? 0) }
    }
}
