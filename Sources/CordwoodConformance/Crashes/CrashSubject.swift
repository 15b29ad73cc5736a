public import CordwoodIO
public import CordwoodVirtual

/// What a crash exploration runs, and how it reads what a crash has left.
public struct CrashSubject<Reading: Hashable & Sendable>: Sendable {
    /// The disk that the workload finds.
    public var disk: DiskImage
    /// The state that `disk` holds.
    public var start: Reading
    /// Does the work, and tells the ledger of every step: before it begins, and once it is acknowledged.
    public var run: @Sendable (Seams, CrashLedger<Reading>) async throws -> Void
    /// Opens what a crash has left, as the product does, and reads all of it. Called again and again, each time in
    /// another world; throws when what is there cannot be opened.
    public var read: @Sendable (Seams) async throws -> Reading
    /// The number of steps behind which the state was as it was found, at least `acknowledged` and at most `begun`;
    /// `nil` when it never was.
    public var match: @Sendable (Reading, _ history: [Reading], _ acknowledged: Int, _ begun: Int) -> Int?
    /// Whether a recovery that was cut off may leave the second reading where it had found the first: by default never.
    /// For reads that go on with the work once they have read.
    public var mayMoveOn: @Sendable (_ found: Reading, _ second: Reading) -> Bool = { _, _ in false }
    /// A reading in words, for the report of a failure.
    public var describe: @Sendable (Reading) -> String

    /// With a `match` that takes the state behind whole steps alone.
    public init(
        on disk: DiskImage = DiskImage(), from start: Reading,
        run: @escaping @Sendable (Seams, CrashLedger<Reading>) async throws -> Void,
        read: @escaping @Sendable (Seams) async throws -> Reading
    ) {
        self.disk = disk
        self.start = start
        self.run = run
        self.read = read
        match = { found, history, acknowledged, begun in
            (acknowledged...begun).first { history[$0] == found }
        }
        describe = { "\($0)" }
    }
}

/// A workload of the crash harness under its name, whatever it is that it reads.
public struct CrashWorkload: Sendable, CustomStringConvertible {
    public let name: String
    private let body: @Sendable (CrashExploration) throws -> CrashExploration.Report

    public init<Reading>(_ name: String, _ subject: @escaping @Sendable () throws -> CrashSubject<Reading>) {
        self.name = name
        body = { try $0.run(try subject()) }
    }

    public func explore(_ exploration: CrashExploration) throws -> CrashExploration.Report { try body(exploration) }

    public var description: String { name }
}
