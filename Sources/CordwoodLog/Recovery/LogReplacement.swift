public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// Makes a log anew beside a damaged one, and puts it in its place.
///
///     repair/log/                the new log, while it is made
///     repair/log.ready           the names of its segments: from the moment when this is durable it counts
///     repair/damaged-log/        the segments that were damaged, once others have taken their place
///
/// The exchange is renames of single files. Each says by its name in `log.ready` whether it belongs to the new log, so
/// an exchange that was cut short is finished by doing it again.
public struct LogReplacement {
    private static let readyName = "log.ready"

    private let log: String
    private let repair: String
    private let seams: Seams

    /// - Parameters:
    ///   - log: the log's directory.
    ///   - repair: where the new log is made.
    public init(log: String, repair: String, seams: Seams) {
        self.log = log
        self.repair = repair
        self.seams = seams
    }

    private var staged: String { repair + "/log" }
    private var damaged: String { repair + "/damaged-log" }

    /// Begins a new log with the state that is given; what an earlier attempt has left goes. The store is to be closed
    /// before `commit`.
    public func begin(
        _ identity: LogIdentity, vote: Vote, boundary: LogBoundary, commitHint: RaftIndex, epoch: StreamEpoch,
        gates: [GateRecord], options: LogStoreOptions
    ) async throws(LogError) -> SegmentedLogStore {
        do throws(IOError) {
            try await seams.files.makeDurableDirectory(repair)
            try await seams.files.makeDurableDirectory(staged)
            for file in try await seams.files.list(staged) { try await seams.files.remove(staged + "/" + file.name) }
        } catch { throw .unavailable(error.description) }
        var options = options
        options.spareSegments = 0
        options.keepsReserve = false
        var identity = identity
        identity.log = UniqueID(high: seams.random.next(), low: seams.random.next())
        let carry = CarryRecord(
            identity: identity, epoch: epoch, vote: vote, commitHint: commitHint, boundary: boundary, last: boundary,
            firstSegment: 1, gates: gates.isEmpty ? [GateRecord(gate: options.ackGate, from: 1)] : gates)
        return try await SegmentedLogStore.begin(staged, carry, options, seams)
    }

    /// The new log counts from here on, and is in place on return.
    public func commit() async throws(LogError) {
        do throws(IOError) {
            let names = try await seams.files.list(staged).map(\.name).filter { $0.hasSuffix(SegmentName.suffix) }
            let text = names.sorted().joined(separator: "\n")
            try await seams.files.replaceContents(of: Self.readyName, in: repair, with: Array(text.utf8))
        } catch { throw .unavailable(error.description) }
        try await finish()
    }

    /// Finishes an exchange that has begun; does nothing otherwise.
    public func finish() async throws(LogError) {
        do throws(IOError) {
            guard let ready = try await seams.files.contents(of: repair + "/" + Self.readyName) else { return }
            let names = Set(String(decoding: ready, as: UTF8.self).split(separator: "\n").map(String.init))
            try await seams.files.makeDurableDirectory(damaged)
            for file in try await seams.files.list(log)
            where file.name.hasSuffix(SegmentName.suffix) && !names.contains(file.name) {
                try await seams.files.rename(log + "/" + file.name, to: damaged + "/" + file.name)
            }
            for file in try await seams.files.list(staged) where names.contains(file.name) {
                try await seams.files.rename(staged + "/" + file.name, to: log + "/" + file.name)
            }
            for directory in [damaged, log, staged] { try await seams.files.syncDirectory(directory) }
            try await seams.files.remove(repair + "/" + Self.readyName)
            try await seams.files.syncDirectory(repair)
        } catch { throw .unavailable(error.description) }
    }
}

extension SegmentedLogStore {
    /// Makes a log in an empty directory that begins with a state that is known already.
    static func begin(
        _ directory: String, _ carry: CarryRecord, _ options: LogStoreOptions, _ seams: Seams
    ) async throws(LogError) -> SegmentedLogStore {
        let lock: any FileLock
        do throws(IOError) { lock = try await seams.files.lock(directory + "/" + lockName) } catch {
            throw .unavailable(error.description)
        }
        do throws(LogError) {
            return try await make(directory, carry, options, RecoveryReport(), spares: [], lock, seams)
        } catch {
            lock.release()
            throw error
        }
    }
}
