import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRESP

/// What a read has to wait for, and what it is refused for.
extension Server {
    /// The events of a partition as a connection's reads are to see them. A partition that stands still before it shows
    /// again what it has shown is refused: an empty answer would take that back.
    func eventStore(
        of partition: PartitionID, readBy connection: ClientConnection
    ) async throws(CommandError) -> EventStore {
        try await prepareRead(of: [partition], by: connection)
        if let store = await eventStore(of: partition) { return store }
        if let damage = node.damagedPartitions.first(where: { $0.partition == partition }) {
            throw CommandError(
                .partitionNotOwned, "partition \(partition) is quarantined on this node: \(damage.reason)")
        }
        throw CommandError(.frozen, "partition \(partition) is frozen")
    }

    /// Returns when partitions show what the connection's read mode asks for; all partitions when none is named.
    func prepareRead(of partitions: [PartitionID]?, by connection: ClientConnection) async throws(CommandError) {
        switch connection.readMode {
        case .local: try checkReady()
        case .linearizable: try await untilLinearizable(partitions, .quorum)
        case .lease: try await untilLinearizable(partitions, .lease)
        }
    }

    /// Local reads are refused until they show what they have ever shown.
    private func checkReady() throws(CommandError) {
        let phase =
            switch node.readiness {
            case .ready: nil as String?
            case .waiting: "waiting for the leader"
            case .applying: "applying"
            }
        guard let phase else { return }
        throw CommandError(.loading, "Cordwood is recovering: \(phase) \(node.readinessPercent)%")
    }

    /// A read index covers all that was acknowledged before it was asked for; what is applied up to there shows it.
    private func untilLinearizable(_ partitions: [PartitionID]?, _ proof: ReadProof) async throws(CommandError) {
        let deadline = seams.clock.monotonicNanoseconds + settings.replyTimeoutNanoseconds
        let index = try await readIndex(by: proof, until: deadline)
        let now = seams.clock.monotonicNanoseconds
        let result = await node.barrier(
            through: index, partitions: partitions, timeoutNanoseconds: deadline - min(now, deadline))
        if case .timedOut = result {
            throw CommandError(.timeout, "not applied yet: the partition is behind the read index \(index)")
        }
    }

    private func readIndex(
        by proof: ReadProof, until deadline: UInt64
    ) async throws(CommandError) -> RaftIndex {
        while true {
            if node.isRemoved { throw .removed }
            do throws(ProposalRejection) { return try await node.readIndex(by: proof) } catch {
                if case .closing = error { throw CommandError(.shutdown, "the node is draining") }
            }
            guard seams.clock.monotonicNanoseconds < deadline else {
                if node.status.leader == nil { throw CommandError(.clusterDown, "No raft leader") }
                throw CommandError(.timeout, "no quorum for read")
            }
            await seams.clock.sleep(nanoseconds: Server.readRetryNanoseconds)
        }
    }

    private static let readRetryNanoseconds: UInt64 = 20_000_000
}
