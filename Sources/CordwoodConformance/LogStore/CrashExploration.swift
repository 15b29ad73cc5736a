import CordwoodBase
public import CordwoodIO
public import CordwoodRaft
public import CordwoodVirtual

/// Runs a script on a log store over a faulty disk, cuts the power at every I/O operation, and opens the store on what
/// each cut may have left.
///
/// After a crash the store must open, and hold what it held after some number of the script's operations: at least
/// those acknowledged when the power failed, at most those begun. What recovery has answered with must then survive the
/// next crash, and a crash at any operation of the recovery must not change its result. Crash states are
/// exhaustive up to `exhaustiveUnits` and drawn by the seed above.
public struct CrashExploration: Sendable {
    public var seed: UInt64 = 1
    public var disk = FaultyDisk.Options()
    /// Every legal state is looked at for moments with up to so many pending units.
    public var exhaustiveUnits = 12
    /// Crash states looked at for a moment with more pending units.
    public var sampledStates = 24
    /// Of the states of one moment, every so many-th has its recovery crashed, too.
    public var recoveryStride = 13
    /// Crash states looked at for a moment within recovery: nothing kept, all kept, prefixes, single losses, and some
    /// at random with sectors that turned into garbage.
    public var sampledRecoveryStates = 10

    /// What was looked at.
    public struct Report: Hashable, Sendable, CustomStringConvertible {
        public var operations = 0
        public var crashPoints = 0
        /// Crash points of which every legal state was looked at.
        public var exhaustivePoints = 0
        public var states = 0
        public var recoveryCrashStates = 0
        /// States in which operations that had not been acknowledged were there after all.
        public var statesWithUnacknowledged = 0

        public init() {}

        public var description: String {
            "\(operations) operations, \(crashPoints) crash points (\(exhaustivePoints) exhaustive), \(states) states, "
                + "\(recoveryCrashStates) states within recovery, "
                + "\(statesWithUnacknowledged) with unacknowledged operations kept"
        }

        public static func += (left: inout Report, right: Report) {
            left.operations += right.operations
            left.crashPoints += right.crashPoints
            left.exhaustivePoints += right.exhaustivePoints
            left.states += right.states
            left.recoveryCrashStates += right.recoveryCrashStates
            left.statesWithUnacknowledged += right.statesWithUnacknowledged
        }
    }

    /// Opens the store in a world; called again and again, each time in another one.
    public typealias Opening = @Sendable (Seams) async throws -> any RaftLogStore
    public typealias Script = @Sendable (RecordedLog) async throws -> Void

    private let opening: Opening

    public init(opening: @escaping Opening) { self.opening = opening }

    /// A moment at which the power may fail, and what the store had promised by then.
    private struct Moment {
        var image: DiskImage
        var label: String
        var acknowledged: Int
        var begun: Int
    }

    /// Throws `ConformanceFailure`, with all that is needed to see the case again, when a crash loses or changes
    /// anything that was acknowledged.
    public func run(_ script: @escaping Script) throws -> Report {
        var report = Report()
        let (moments, history) = try record(script, &report)
        for (number, moment) in moments.enumerated() {
            let states = moment.image.crashStates(
                limit: sampledStates, exhaustiveUnits: exhaustiveUnits, sectorBytes: disk.sectorBytes,
                seed: seed &+ UInt64(number))
            report.crashPoints += 1
            if states.isExhaustive { report.exhaustivePoints += 1 }
            for (stateNumber, state) in states.enumerated() {
                let place = "seed \(seed), \(moment.label), state \(stateNumber) of \(states.count)"
                do {
                    try examine(
                        state, moment, history, withRecoveryCrashes: (number + stateNumber) % recoveryStride == 0,
                        &report)
                } catch {
                    throw ConformanceFailure(
                        "\(place): \(error)\nacknowledged \(moment.acknowledged), begun \(moment.begun)")
                }
                report.states += 1
            }
        }
        return report
    }

    // MARK: The run

    private func record(_ script: @escaping Script, _ report: inout Report) throws -> ([Moment], [LogModel]) {
        let world = VirtualWorld(seed: seed, options: disk)
        var moments: [Moment] = []
        var log: RecordedLog?
        var revision: UInt64 = 0
        world.disk.onCrashPoint = { point in
            let acknowledged = log?.acknowledged ?? 0
            // Without a change on the disk or a new acknowledgement the states are those of the moment before.
            if point.image.revision == revision, moments.last?.acknowledged == acknowledged { return }
            revision = point.image.revision
            moments.append(
                Moment(
                    image: point.image, label: "\(point.side) \(point.operation)", acknowledged: acknowledged,
                    begun: (log?.history.count ?? 1) - 1))
        }
        let history = try world.run { [opening] seams in
            let recorded = RecordedLog(try await opening(seams))
            log = recorded
            try await script(recorded)
            return recorded.history
        }
        moments.append(
            Moment(
                image: world.disk.image, label: "after the script", acknowledged: log?.acknowledged ?? 0,
                begun: history.count - 1))
        report.operations = history.count - 1
        return (moments, history)
    }

    // MARK: What a crash left

    private func examine(
        _ state: DiskImage, _ moment: Moment, _ history: [LogModel], withRecoveryCrashes: Bool,
        _ report: inout Report
    ) throws {
        let world = VirtualWorld(seed: seed ^ 0x5eed, disk: state, options: disk)
        var recoveryMoments: [(image: DiskImage, label: String)] = []
        if withRecoveryCrashes {
            world.disk.onCrashPoint = { recoveryMoments.append(($0.image, "\($0.side) \($0.operation)")) }
        }
        let found = try read(world)
        let oracle = RecoveryOracle(history: history, acknowledged: moment.acknowledged, begun: moment.begun)
        guard let kept = oracle.match(found) else {
            throw ConformanceFailure("recovered \(found.summary), expected one of \(oracle.summary)")
        }
        if kept > moment.acknowledged { report.statesWithUnacknowledged += 1 }
        guard withRecoveryCrashes else { return }

        // A recovery that was cut off anywhere changes nothing about the result of the next one.
        for (number, recovery) in recoveryMoments.enumerated() {
            let states = recovery.image.crashStates(
                limit: sampledRecoveryStates, exhaustiveUnits: 1, sectorBytes: disk.sectorBytes,
                seed: seed &+ UInt64(number))
            for again in states.prefix(sampledRecoveryStates) {
                let second = try read(VirtualWorld(seed: seed ^ 0x5eed2, disk: again, options: disk))
                guard second == found else {
                    throw ConformanceFailure(
                        "recovery crashed, \(recovery.label): then recovered \(second.summary), before \(found.summary)"
                    )
                }
                report.recoveryCrashStates += 1
            }
        }
        for again in world.disk.image.crashStates(
            limit: sampledRecoveryStates, exhaustiveUnits: 1, sectorBytes: disk.sectorBytes, seed: seed
        ).prefix(sampledRecoveryStates) {
            let second = try read(VirtualWorld(seed: seed ^ 0x5eed3, disk: again, options: disk))
            guard second == found else {
                throw ConformanceFailure(
                    "crashed after a recovery that found \(found.summary): then recovered \(second.summary)")
            }
            report.recoveryCrashStates += 1
        }
    }

    private func read(_ world: VirtualWorld) throws -> LogReading {
        try world.run { [opening] seams in
            let store = try await opening(seams)
            guard store.state.health == .ok else {
                throw ConformanceFailure("the store is \(store.state.health) after a crash")
            }
            try expectEqual(store.durableIndex.next, store.nextIndex, "durable + 1 after opening")
            return try await LogReading(store)
        }
    }
}
