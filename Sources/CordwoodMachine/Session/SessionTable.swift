public import CordwoodBase

/// A session as a command names it, with the command's place in the session.
@frozen
public struct SessionCall: Hashable, Sendable {
    public var session: UInt64
    public var sequence: UInt64

    @inlinable
    public init(session: UInt64, sequence: UInt64) {
        self.session = session
        self.sequence = sequence
    }
}

/// What an entry of type `session` asks for.
public enum SessionRequest: Hashable, Sendable {
    /// A new session that expires when it has not been used for so long.
    case open(timeoutMicroseconds: UInt64)
    case close(session: UInt64)

    /// The entry's payload.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .open(let timeout):
            bytes.append(1)
            bytes.append(littleEndian: timeout)
        case .close(let session):
            bytes.append(2)
            bytes.append(littleEndian: session)
        }
        return bytes
    }

    public init(decoding payload: [UInt8]) throws(DecodeError) {
        let result: Result<SessionRequest, DecodeError> = payload.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            do throws(DecodeError) {
                let kind = try reader.integer(UInt8.self)
                let value = try reader.integer(UInt64.self)
                guard reader.remaining == 0 else {
                    throw .invalid(field: "session request length", value: UInt64(raw.count))
                }
                switch kind {
                case 1: return .success(.open(timeoutMicroseconds: value))
                case 2: return .success(.close(session: value))
                default: throw .invalid(field: "session request", value: UInt64(kind))
                }
            } catch { return .failure(error) }
        }
        self = try result.get()
    }
}

/// What became of a session request.
public enum SessionOutcome: Hashable, Sendable {
    /// Open under this number; `evicted` had to make room.
    case opened(session: UInt64, evicted: UInt64?)
    case closed(session: UInt64)
    /// There is no such session, or it has expired.
    case notFound(session: UInt64)
    /// The request cannot be read.
    case malformed
}

/// The open client sessions. A value, a function of the log alone: sessions open, are used, close and expire at
/// dispatch, in log order, by the leader's timestamps, so every replica and every restart decides alike.
///
/// A session's number is the Raft index of the entry that opened it and is never used again. What a session's
/// commands answered is kept by the machines of their partitions, not here.
///
/// The table says up to which Raft index it has decided. Entries up to there may be dispatched again after a restart,
/// when the table was read from a checkpoint: what was decided then is kept for those that were refused, and stands.
public struct SessionTable: Hashable, Sendable {
    struct Session: Hashable, Sendable {
        var number: UInt64
        var timeoutMicroseconds: UInt64
        /// Timestamp of the last entry that used it.
        var usedMicroseconds: Int64

        func hasExpired(atMicroseconds now: Int64) -> Bool {
            let (idle, overflow) = now.subtractingReportingOverflow(usedMicroseconds)
            return !overflow && idle > 0 && UInt64(idle) > timeoutMicroseconds
        }
    }

    /// Sessions that may be open at one time; the one unused for longest gives way to a new one.
    public let capacity: Int
    /// Everything up to here has been decided.
    public private(set) var decidedThrough: RaftIndex = 0
    /// Ascending by number.
    private var sessions: [Session] = []
    /// Entries refused because their session was not open, ascending.
    private var refused: [RaftIndex] = []

    public init(capacity: Int = 65_536) { self.capacity = max(1, capacity) }

    public var count: Int { sessions.count }

    private func place(of number: UInt64) -> Int? {
        var low = 0
        var high = sessions.count
        while low < high {
            let middle = (low + high) / 2
            if sessions[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < sessions.count && sessions[low].number == number ? low : nil
    }

    /// Whether a session is open at a time in the log.
    public func isOpen(_ number: UInt64, atMicroseconds now: Int64) -> Bool {
        place(of: number).map { !sessions[$0].hasExpired(atMicroseconds: now) } ?? false
    }

    /// A command of a session has come in the log at an index: false when the session is not open, and then it is not
    /// used.
    public mutating func use(_ number: UInt64, at index: RaftIndex, atMicroseconds now: Int64) -> Bool {
        if index <= decidedThrough { return !wasRefused(index) }
        decidedThrough = index
        if let at = place(of: number) {
            if !sessions[at].hasExpired(atMicroseconds: now) {
                sessions[at].usedMicroseconds = max(sessions[at].usedMicroseconds, now)
                return true
            }
            sessions.remove(at: at)
        }
        refused.append(index)
        return false
    }

    private func wasRefused(_ index: RaftIndex) -> Bool { refused.last { $0 <= index } == index }

    /// Entries below the floor are never dispatched again: what was decided on them is not needed.
    public mutating func forgetRefusals(below floor: RaftIndex) {
        refused.removeFirst(refused.prefix { $0 < floor }.count)
    }

    /// Decides an entry of type `session`; `nil` for one that was decided before.
    public mutating func apply(_ payload: [UInt8], at index: RaftIndex, atMicroseconds now: Int64) -> SessionOutcome? {
        guard index > decidedThrough else { return nil }
        decidedThrough = index
        guard let request = try? SessionRequest(decoding: payload) else { return .malformed }
        switch request {
        case .open(let timeout):
            var evicted: UInt64?
            if sessions.count >= capacity { sessions.removeAll { $0.hasExpired(atMicroseconds: now) } }
            if sessions.count >= capacity,
                let oldest = sessions.indices.min(by: { sessions[$0].usedMicroseconds < sessions[$1].usedMicroseconds })
            {
                evicted = sessions.remove(at: oldest).number
            }
            sessions.append(
                Session(number: index.rawValue, timeoutMicroseconds: timeout, usedMicroseconds: now))
            return .opened(session: index.rawValue, evicted: evicted)
        case .close(let number):
            guard let at = place(of: number) else { return .notFound(session: number) }
            let hadExpired = sessions[at].hasExpired(atMicroseconds: now)
            sessions.remove(at: at)
            return hadExpired ? .notFound(session: number) : .closed(session: number)
        }
    }

    // MARK: Encoding

    private static let sessionBytes = 24

    /// The table's bytes, for system checkpoints and Raft snapshots. Equal on all replicas that have decided the same
    /// and forgotten the refusals below the same index.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32 + sessions.count * Self.sessionBytes + refused.count * 8)
        bytes.append(littleEndian: UInt64(capacity))
        bytes.append(littleEndian: decidedThrough.rawValue)
        bytes.append(littleEndian: UInt64(sessions.count))
        bytes.append(littleEndian: UInt64(refused.count))
        for session in sessions {
            bytes.append(littleEndian: session.number)
            bytes.append(littleEndian: session.timeoutMicroseconds)
            bytes.append(littleEndian: session.usedMicroseconds)
        }
        for index in refused { bytes.append(littleEndian: index.rawValue) }
        return bytes
    }

    /// Reads a table back. No bytes at all are an empty table.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        if bytes.isEmpty {
            self.init()
            return
        }
        let result: Result<SessionTable, DecodeError> = bytes.withUnsafeBytes { raw in
            do throws(DecodeError) { return .success(try Self.decode(raw)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private static func decode(_ raw: UnsafeRawBufferPointer) throws(DecodeError) -> SessionTable {
        var reader = ByteReader(raw)
        let capacity = try reader.integer(UInt64.self)
        let decidedThrough = try reader.ordinal(RaftIndex.self)
        let count = try reader.integer(UInt64.self)
        let refusedCount = try reader.integer(UInt64.self)
        guard capacity > 0, capacity <= UInt64(Int32.max) else {
            throw .invalid(field: "session capacity", value: capacity)
        }
        guard count <= capacity, count <= UInt64(reader.remaining / sessionBytes) else {
            throw .invalid(field: "session count", value: count)
        }
        let rest = reader.remaining - Int(count) * sessionBytes
        guard rest % 8 == 0, UInt64(rest / 8) == refusedCount else {
            throw .invalid(field: "session refusals", value: refusedCount)
        }
        var table = SessionTable(capacity: Int(capacity))
        table.decidedThrough = decidedThrough
        table.sessions.reserveCapacity(Int(count))
        for _ in 0..<count {
            let session = Session(
                number: try reader.integer(), timeoutMicroseconds: try reader.integer(),
                usedMicroseconds: try reader.integer())
            guard table.sessions.last.map({ $0.number < session.number }) ?? true else {
                throw .invalid(field: "session number", value: session.number)
            }
            table.sessions.append(session)
        }
        for _ in 0..<refusedCount {
            let index = try reader.ordinal(RaftIndex.self)
            guard table.refused.last.map({ $0 < index }) ?? true else {
                throw .invalid(field: "session refusal", value: index.rawValue)
            }
            table.refused.append(index)
        }
        return table
    }
}
