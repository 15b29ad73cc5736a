/// What an entry is for. Raw values are those of the stored format.
public enum EntryType: UInt8, Sendable, Hashable, CaseIterable {
    /// A command for one partition.
    case application = 1
    /// A change of the group's configuration.
    case configuration = 2
    /// The empty entry by which a new leader commits what came before it.
    case noOperation = 16
    /// One command over several partitions, applied by all of them or by none.
    case multiPartition = 17
    /// Open, close or expire a client session.
    case session = 18
}

/// One partition's part of an entry.
@frozen
public struct EntrySlice: Hashable, Sendable {
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex
    /// Raft index of the partition's entry before this one, 0 if there is none: truncation restores the partition's
    /// next index from it without a scan.
    public var previousRaftIndex: RaftIndex
    /// The part of the entry's payload that belongs to this partition, in bytes from the payload's start.
    public var offset: UInt32
    public var length: UInt32

    @inlinable
    public init(
        partition: PartitionID, partitionIndex: PartitionLogIndex, previousRaftIndex: RaftIndex, offset: UInt32,
        length: UInt32
    ) {
        self.partition = partition
        self.partitionIndex = partitionIndex
        self.previousRaftIndex = previousRaftIndex
        self.offset = offset
        self.length = length
    }
}

/// The slices of an entry. Nearly every entry has one, so one is kept without an allocation.
@frozen
public enum EntrySlices: Hashable, Sendable, RandomAccessCollection {
    case none
    case one(EntrySlice)
    /// Two or more, in ascending order of partition.
    case many([EntrySlice])

    @inlinable
    public init(_ slices: [EntrySlice]) {
        switch slices.count {
        case 0: self = .none
        case 1: self = .one(slices[0])
        default: self = .many(slices)
        }
    }

    @inlinable
    public var startIndex: Int { 0 }

    @inlinable
    public var endIndex: Int {
        switch self {
        case .none: 0
        case .one: 1
        case .many(let slices): slices.count
        }
    }

    @inlinable
    public subscript(position: Int) -> EntrySlice {
        switch self {
        case .none: brokenInvariant("slice \(position) of an entry without slices")
        case .one(let slice):
            invariant(position == 0, "slice \(position) of an entry with one slice")
            return slice
        case .many(let slices): return slices[position]
        }
    }
}

/// An index together with the term of the entry there.
@frozen
public struct LogPosition: Hashable, Sendable, CustomStringConvertible {
    public var index: RaftIndex
    public var term: Term

    @inlinable
    public init(index: RaftIndex, term: Term) {
        self.index = index
        self.term = term
    }

    public var description: String { "\(term)/\(index)" }
}

/// One entry of the Raft log.
public struct Entry: Hashable, Sendable {
    public var index: RaftIndex
    public var term: Term
    public var type: EntryType
    /// Microseconds since 1970, set by the leader at proposal; never falls from one entry to the next.
    public var timestampMicroseconds: Int64
    public var slices: EntrySlices
    /// The entry's bytes. Entries that came together share the memory of one array, so that a batch of them costs one
    /// allocation.
    public var payload: ArraySlice<UInt8>
    /// The entry chain at this entry. Computed by the store when it takes the entry, present in entries that are read.
    public var chain: ChainValue

    public init(
        index: RaftIndex, term: Term, type: EntryType, timestampMicroseconds: Int64, slices: EntrySlices = .none,
        payload: [UInt8] = [], chain: ChainValue = .zero
    ) {
        self.init(
            index: index, term: term, type: type, timestampMicroseconds: timestampMicroseconds, slices: slices,
            payload: payload[...], chain: chain)
    }

    public init(
        index: RaftIndex, term: Term, type: EntryType, timestampMicroseconds: Int64, slices: EntrySlices,
        payload: ArraySlice<UInt8>, chain: ChainValue = .zero
    ) {
        self.index = index
        self.term = term
        self.type = type
        self.timestampMicroseconds = timestampMicroseconds
        self.slices = slices
        self.payload = payload
        self.chain = chain
    }

    @inlinable
    public var position: LogPosition { LogPosition(index: index, term: term) }
}

/// What a replica has promised in a term: the vote is `none` while it has not voted.
@frozen
public struct Vote: Hashable, Sendable {
    public var term: Term
    public var candidate: ReplicaID

    @inlinable
    public init(term: Term, candidate: ReplicaID) {
        self.term = term
        self.candidate = candidate
    }

    public static let none = Vote(term: 0, candidate: .none)
}
