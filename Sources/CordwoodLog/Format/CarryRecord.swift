public import CordwoodBase
public import CordwoodRaft

/// First record of every segment: the state of the stream at its start, so that reading may begin at any segment.
public struct CarryRecord: Hashable, Sendable {
    public var identity: LogIdentity
    public var epoch: StreamEpoch
    public var vote: Vote
    public var commitHint: RaftIndex
    /// The log starts behind this entry.
    public var boundary: LogBoundary
    /// The predecessor, or nothing of it (id 0, length 0, the link of nothing) in a stream's first segment.
    public var predecessor: Predecessor
    /// The last entry before this segment.
    public var last: LogBoundary
    /// Where the first piece of the newest complete system checkpoint stands, if there is one.
    public var checkpoint: StreamPosition?
    /// The oldest segment that may still be needed; older ones may be gone.
    public var firstSegment: SegmentID
    /// The gates in force, oldest first. Never empty in the segmented log.
    public var gates: [GateRecord]

    /// The segment before, as far as its successor can know it.
    public struct Predecessor: Hashable, Sendable {
        public var segment: SegmentID
        /// Where its seal begins, in bytes.
        public var sealOffset: UInt64
        /// Link of its last batch before the seal.
        public var link: PhysicalLink

        public init(segment: SegmentID, sealOffset: UInt64, link: PhysicalLink) {
            self.segment = segment
            self.sealOffset = sealOffset
            self.link = link
        }

        public static let none = Predecessor(segment: .none, sealOffset: 0, link: .zero)
    }

    public init(
        identity: LogIdentity, epoch: StreamEpoch, vote: Vote = .none, commitHint: RaftIndex = 0,
        boundary: LogBoundary = .zero, predecessor: Predecessor = .none, last: LogBoundary = .zero,
        checkpoint: StreamPosition? = nil, firstSegment: SegmentID, gates: [GateRecord] = []
    ) {
        self.identity = identity
        self.epoch = epoch
        self.vote = vote
        self.commitHint = commitHint
        self.boundary = boundary
        self.predecessor = predecessor
        self.last = last
        self.checkpoint = checkpoint
        self.firstSegment = firstSegment
        self.gates = gates
    }

    func encode(into body: inout [UInt8]) {
        for id in [identity.cluster, identity.node, identity.store, identity.log] {
            body.append(littleEndian: id.high)
            body.append(littleEndian: id.low)
        }
        body.append(littleEndian: identity.replica.rawValue)
        body.append(littleEndian: epoch.rawValue)
        body.append(littleEndian: vote.term.rawValue)
        body.append(littleEndian: vote.candidate.rawValue)
        body.append(littleEndian: commitHint.rawValue)
        body.append(boundary: boundary)
        body.append(littleEndian: predecessor.segment.rawValue)
        body.append(littleEndian: predecessor.sealOffset)
        body.append(littleEndian: predecessor.link.rawValue)
        body.append(boundary: last)
        body.append(position: checkpoint ?? .zero)
        body.append(littleEndian: firstSegment.rawValue)
        body.append(littleEndian: UInt32(gates.count))
        body.append(littleEndian: UInt32(0))
        for gate in gates {
            body.append(littleEndian: gate.from.rawValue)
            body.append(littleEndian: UInt64(gate.gate.rawValue))
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodeError) {
        let cluster = try reader.uniqueID()
        let node = try reader.uniqueID()
        let store = try reader.uniqueID()
        let log = try reader.uniqueID()
        identity = LogIdentity(cluster: cluster, node: node, replica: try reader.ordinal(), store: store, log: log)
        epoch = try reader.ordinal()
        vote = Vote(term: try reader.ordinal(), candidate: try reader.ordinal())
        commitHint = try reader.ordinal()
        boundary = try reader.boundary()
        predecessor = Predecessor(
            segment: try reader.ordinal(), sealOffset: try reader.integer(),
            link: PhysicalLink(rawValue: try reader.integer()))
        last = try reader.boundary()
        let position = try reader.position()
        checkpoint = position == .zero ? nil : position
        firstSegment = try reader.ordinal()
        let count = Int(try reader.integer(UInt32.self))
        let reserved = try reader.integer(UInt32.self)
        guard reserved == 0 else { throw .invalid(field: "carry reserved", value: UInt64(reserved)) }
        gates = []
        for _ in 0..<count { gates.append(try reader.gate()) }
    }
}
