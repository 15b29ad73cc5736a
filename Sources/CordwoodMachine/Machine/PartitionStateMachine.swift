public import CordwoodBase

/// A state machine over one partition's committed entries, written by the user of the library.
///
/// One entry at a time is applied, in partition log order, each exactly once in the history that the machine's state
/// shows: after a restart the machine is restored from its newest valid snapshot and the entries behind it are applied
/// again, so `apply` must depend on nothing but the state and the command. Only committed entries are applied and there
/// is no way back. A machine is confined to the node's loop; one that awaits is an `AsyncPartitionStateMachine`.
public protocol PartitionStateMachine: AnyObject {
    /// Applies one committed command. A throw is retried with back-off and, when it does not go away, freezes this
    /// partition alone: throw for what may pass or needs an operator, answer `.refused` for what the command got wrong.
    func apply(_ command: PartitionCommand) throws -> ApplyOutcome

    /// A look at a command that is to be applied soon: what the apply will need can be on its way from memory by then.
    /// Nothing may change. What it returns is given to `approach` when the command is nearer, and what that returns to
    /// `meet` when it is nearer still: each can look at what the one before has let come.
    func foresee(_ command: UnsafeRawBufferPointer) -> UInt64
    func approach(_ foreseen: UInt64) -> UInt64
    func meet(_ approached: UInt64)

    /// Asked before a command that belongs to several partitions is applied, once every one of them has come to it:
    /// `nil` agrees, an outcome objects and says why. Nothing may change. One objection turns the command down in all
    /// of them.
    func objection(to command: PartitionCommand) throws -> ApplyOutcome?

    /// The whole state after the last applied command, in a form that `restore` reads.
    func snapshot() throws -> [UInt8]

    /// Replaces the state by one that `snapshot` gave. Throws when the bytes are not such a state; the machine is then
    /// dropped and opened anew.
    func restore(_ snapshot: [UInt8]) throws
}

extension PartitionStateMachine {
    public func foresee(_ command: UnsafeRawBufferPointer) -> UInt64 { 0 }
    public func approach(_ foreseen: UInt64) -> UInt64 { 0 }
    public func meet(_ approached: UInt64) {}

    public func objection(to command: PartitionCommand) throws -> ApplyOutcome? { nil }
}

/// A state machine that awaits: it runs on the worker executor, and a slow one delays no other partition.
public protocol AsyncPartitionStateMachine: AnyObject, Sendable {
    func apply(_ command: PartitionCommand) async throws -> ApplyOutcome
    func objection(to command: PartitionCommand) async throws -> ApplyOutcome?
    func snapshot() async throws -> [UInt8]
    func restore(_ snapshot: [UInt8]) async throws
}

extension AsyncPartitionStateMachine {
    public func objection(to command: PartitionCommand) async throws -> ApplyOutcome? { nil }
}

/// A machine of either kind, as a factory returns it.
public enum AnyPartitionStateMachine {
    case synchronous(any PartitionStateMachine)
    case asynchronous(any AsyncPartitionStateMachine)
}

/// Makes the machine of a partition when the partition is first written or opened. The context is the machine's only
/// door into the engine.
public typealias PartitionStateMachineFactory = (MachineContext) throws -> AnyPartitionStateMachine

/// One committed command for one partition.
public struct PartitionCommand: Sendable {
    public var partition: PartitionID
    public var partitionIndex: PartitionLogIndex
    public var raftIndex: RaftIndex
    public var term: Term
    /// The entry's timestamp: set by the leader, equal on all replicas, never falling.
    public var timestampMicroseconds: Int64
    /// The partition's part of the entry's payload.
    public var payload: ArraySlice<UInt8>

    public init(
        partition: PartitionID, partitionIndex: PartitionLogIndex, raftIndex: RaftIndex, term: Term,
        timestampMicroseconds: Int64, payload: ArraySlice<UInt8>
    ) {
        self.partition = partition
        self.partitionIndex = partitionIndex
        self.raftIndex = raftIndex
        self.term = term
        self.timestampMicroseconds = timestampMicroseconds
        self.payload = payload
    }
}

/// What a command did.
public struct ApplyOutcome: Sendable, Hashable {
    private var bytes: AnswerBytes
    /// True when the command was looked at and turned down: recorded, without effect on the state.
    public var refused: Bool
    /// Events that the command produced; the watermark W counts them.
    public var eventCount: UInt32

    public init(answer: [UInt8] = [], refused: Bool = false, eventCount: UInt32 = 0) {
        bytes = AnswerBytes(answer)
        self.refused = refused
        self.eventCount = eventCount
    }

    /// The same with an answer that lies somewhere: it is copied, without an allocation when it has up to 48 bytes.
    public init(copying answer: UnsafeRawBufferPointer, refused: Bool = false, eventCount: UInt32 = 0) {
        bytes = AnswerBytes(answer)
        self.refused = refused
        self.eventCount = eventCount
    }
    /// Told to the proposer, if it still waits.
    public var answer: [UInt8] {
        get { bytes.array }
        set { bytes = AnswerBytes(newValue) }
    }

    /// Calls `body` with the answer where it lies.
    public func withAnswerBytes(_ body: (UnsafeRawBufferPointer) -> Void) { bytes.withUnsafeBytes(body) }
}
