import CordwoodBase
import CordwoodIO
public import CordwoodVirtual

/// Runs a workload over a faulty disk, cuts the power at every I/O operation, and opens what each cut may have left.
///
/// What is found must be the state behind some number of the workload's steps: at least those acknowledged when the
/// power failed, at most those begun. What recovery has answered with must then survive the next crash, and a crash at
/// any operation of the recovery must not change its result. Crash states are exhaustive up to `exhaustiveUnits` and
/// drawn by the seed above.
///
/// Many crashes leave the same files. What is read of an image follows from the image alone, so each distinct one is
/// opened once, and judged at every moment at which it may come about.
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
        /// Steps of the workload.
        public var operations = 0
        public var crashPoints = 0
        /// Crash points of which every legal state was looked at.
        public var exhaustivePoints = 0
        public var states = 0
        public var recoveryCrashStates = 0
        /// Images among all states that differ from all others of the same workload.
        public var distinctImages = 0
        /// States in which steps that had not been acknowledged were there after all.
        public var statesWithUnacknowledged = 0

        public init() {}

        public var description: String {
            "\(distinctImages) distinct images in \(states) states and \(recoveryCrashStates) within recovery; "
                + "\(operations) operations, \(crashPoints) crash points (\(exhaustivePoints) exhaustive), "
                + "\(statesWithUnacknowledged) states with unacknowledged operations kept"
        }

        public static func += (left: inout Report, right: Report) {
            left.operations += right.operations
            left.crashPoints += right.crashPoints
            left.exhaustivePoints += right.exhaustivePoints
            left.states += right.states
            left.recoveryCrashStates += right.recoveryCrashStates
            left.distinctImages += right.distinctImages
            left.statesWithUnacknowledged += right.statesWithUnacknowledged
        }
    }

    public init() {}

    /// Throws `ConformanceFailure`, with all that is needed to see the case again, when a crash loses or changes
    /// anything that was acknowledged.
    public func run<Reading>(_ subject: CrashSubject<Reading>) throws -> Report {
        var report = Report()
        let readings = DistinctReadings(of: subject, options: disk, seed: seed ^ 0x5eed)
        let (moments, history) = try record(subject, &report)
        for (number, moment) in moments.enumerated() {
            let states = moment.image.crashStates(
                limit: sampledStates, exhaustiveUnits: exhaustiveUnits, sectorBytes: disk.sectorBytes,
                seed: seed &+ UInt64(number))
            report.crashPoints += 1
            if states.isExhaustive { report.exhaustivePoints += 1 }
            for (stateNumber, state) in states.enumerated() {
                let place = "seed \(seed), \(moment.label), state \(stateNumber) of \(states.count)"
                do {
                    let found = try readings.read(state)
                    guard let kept = subject.match(found.reading, history, moment.acknowledged, moment.begun) else {
                        let expected = history[moment.acknowledged...moment.begun].map(subject.describe)
                        throw ConformanceFailure(
                            "recovered \(subject.describe(found.reading)), expected one of "
                                + expected.joined(separator: " | "))
                    }
                    if kept > moment.acknowledged { report.statesWithUnacknowledged += 1 }
                    if found.isNew, (number + stateNumber) % recoveryStride == 0 {
                        try crashRecovery(from: state, subject, readings, found.reading, &report)
                    }
                } catch {
                    throw ConformanceFailure(
                        "\(place): \(error)\nacknowledged \(moment.acknowledged), begun \(moment.begun)")
                }
                report.states += 1
            }
        }
        report.distinctImages = readings.imageCount
        return report
    }

    // MARK: The run

    /// A moment at which the power may fail, and what had been promised by then.
    private struct Moment {
        var image: DiskImage
        var label: String
        var acknowledged: Int
        var begun: Int
    }

    private func record<Reading>(
        _ subject: CrashSubject<Reading>, _ report: inout Report
    ) throws -> ([Moment], [Reading]) {
        let world = VirtualWorld(seed: seed, disk: subject.disk, options: disk)
        var moments: [Moment] = []
        let ledger = CrashLedger(subject.start)
        var revision: UInt64?
        world.disk.onCrashPoint = { point in
            // Without a change on the disk or a new acknowledgement the states are those of the moment before.
            if point.image.revision == revision, moments.last?.acknowledged == ledger.acknowledged { return }
            revision = point.image.revision
            moments.append(
                Moment(
                    image: point.image, label: "\(point.side) \(point.operation)", acknowledged: ledger.acknowledged,
                    begun: ledger.begun))
        }
        try world.run { try await subject.run($0, ledger) }
        moments.append(
            Moment(
                image: world.disk.image, label: "after the workload", acknowledged: ledger.acknowledged,
                begun: ledger.begun))
        report.operations = ledger.begun
        return (moments, ledger.history)
    }

    // MARK: Crashes within recovery

    /// A recovery that was cut off anywhere changes nothing about the result of the next one, and neither does a crash
    /// behind it.
    private func crashRecovery<Reading>(
        from state: DiskImage, _ subject: CrashSubject<Reading>, _ readings: DistinctReadings<Reading>,
        _ found: Reading, _ report: inout Report
    ) throws {
        let world = VirtualWorld(seed: seed ^ 0x5eed2, disk: state, options: disk)
        var moments: [(image: DiskImage, label: String)] = []
        var revision: UInt64?
        world.disk.onCrashPoint = { point in
            if point.image.revision == revision { return }
            revision = point.image.revision
            moments.append((point.image, "\(point.side) \(point.operation)"))
        }
        let elsewhere = try world.run { try await subject.read($0) }
        guard elsewhere == found else {
            throw ConformanceFailure(
                "two recoveries differ: \(subject.describe(elsewhere)), \(subject.describe(found))")
        }
        moments.append((world.disk.image, "after the recovery"))
        for (number, moment) in moments.enumerated() {
            let states = moment.image.crashStates(
                limit: sampledRecoveryStates, exhaustiveUnits: 1, sectorBytes: disk.sectorBytes,
                seed: seed &+ UInt64(number))
            for again in states.prefix(sampledRecoveryStates) {
                let second = try readings.read(again).reading
                guard second == found || subject.mayMoveOn(found, second) else {
                    throw ConformanceFailure(
                        "recovery crashed, \(moment.label): then recovered \(subject.describe(second)), before "
                            + subject.describe(found))
                }
                report.recoveryCrashStates += 1
            }
        }
    }
}

/// What is read of each distinct image, each opened once.
private final class DistinctReadings<Reading: Hashable & Sendable> {
    private let subject: CrashSubject<Reading>
    private let options: FaultyDisk.Options
    private let seed: UInt64
    /// Images by fingerprint, with the place of what was read of them: readings are few, images many.
    private var places: [ChainValue: Int] = [:]
    private var placesOfReadings: [Reading: Int] = [:]
    private var readings: [Reading] = []

    init(of subject: CrashSubject<Reading>, options: FaultyDisk.Options, seed: UInt64) {
        self.subject = subject
        self.options = options
        self.seed = seed
    }

    var imageCount: Int { places.count }

    func read(_ image: DiskImage) throws -> (reading: Reading, isNew: Bool) {
        let fingerprint = image.fingerprint
        if let place = places[fingerprint] { return (readings[place], false) }
        let world = VirtualWorld(seed: seed, disk: image, options: options)
        let reading = try world.run { [subject] in try await subject.read($0) }
        var place = placesOfReadings[reading]
        if place == nil {
            place = readings.count
            placesOfReadings[reading] = readings.count
            readings.append(reading)
        }
        places[fingerprint] = place
        return (reading, true)
    }
}
