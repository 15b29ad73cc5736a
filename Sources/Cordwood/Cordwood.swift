public import CordwoodBase
public import CordwoodMachine
public import CordwoodNode
public import CordwoodPlatform

/// A replicated log with state machines of your own, inside your program.
///
/// Opening it takes the data directory, starts an event loop on a thread of its own and recovers; from then on commands
/// can be proposed from anywhere. A command that was answered is durable and applied, and stays so.
///
///     let cordwood = try await Cordwood.open(NodeConfiguration(directory: "data")) { _ in .synchronous(Counter()) }
///     let answer = try await cordwood.propose(command, to: 3)
///     try await cordwood.close()
public final class Cordwood: Sendable {
    private let platform: Platform
    private let node: Confined<Node>

    private init(_ platform: Platform, _ node: Confined<Node>) {
        self.platform = platform
        self.node = node
    }

    /// Opens a directory, making it when it is missing. The factory makes each partition's machine when the partition
    /// is first written or recovered; it is called on the loop.
    public static func open(
        _ configuration: NodeConfiguration, io: Platform.Choice = .auto,
        log: @escaping @Sendable () -> any LogSink = { SilentLog() },
        machine factory: @escaping @Sendable (MachineContext) throws -> AnyPartitionStateMachine
    ) async throws -> Cordwood {
        let platform = try Platform.start(io: io)
        do {
            let node = try await platform.run { seams in
                Confined(
                    try await Node.open(configuration, machine: factory, log: log(), seams: seams))
            }
            return Cordwood(platform, node)
        } catch {
            platform.shutdown()
            throw error
        }
    }

    /// Proposes a command and returns what the machine answered, once it is committed and applied.
    ///
    /// Throws `ProposalRejection` when the command was certainly not executed, `OutcomeUnknown` when nobody can say: a
    /// retry is safe only if the machine can tell a repeat.
    public func propose(_ command: [UInt8], to partition: PartitionID) async throws -> ApplyOutcome {
        try await platform.run { _ in
            switch try await self.node.value.propose(command, to: partition) {
            case .applied(_, let outcome), .appliedByLeader(_, _, let outcome): return outcome
            case .rejected(let rejection): throw rejection
            case .aborted: throw ProposalAborted()
            case .unknown(let reason): throw OutcomeUnknown(reason: reason)
            case .durable, .buffered: brokenInvariant("a proposal that waits for its apply ended before it")
            }
        }
    }

    /// Runs `body` on the loop with the node: to read a machine's state, to look at the status, to freeze a partition.
    public func run<Value: Sendable>(_ body: @escaping @Sendable (Node) async throws -> Value) async throws -> Value {
        try await platform.run { _ in try await body(self.node.value) }
    }

    /// Writes everything down and gives the directory back. What was proposed and not answered ends as unknown.
    public func close() async throws {
        do {
            try await platform.run { _ in try await self.node.value.close() }
        } catch {
            platform.shutdown()
            throw error
        }
        platform.shutdown()
    }

    /// One line on which I/O backend is in use, and why.
    public var backendDescription: String { platform.backendDescription }
}

/// The proposal may or may not take effect.
public struct OutcomeUnknown: Error, Hashable, Sendable {
    public var reason: UnknownReason
}

/// The proposal was certainly not executed: an entry of another term is committed in its place.
public struct ProposalAborted: Error, Hashable, Sendable {}

/// Carries what belongs to one loop through code that does not: the value is touched on that loop alone.
private struct Confined<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
