import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// How a node meets the other members before it takes its place among them: what it lacks it may ask for, and what it
/// has it may give, but it takes no part in consensus. One that the group has removed is given nothing: `onRemoval`.
enum WaitingRoom {
    static func open(
        _ configuration: NodeConfiguration, _ identity: LogIdentity, _ membership: Membership, _ log: any LogSink,
        _ seams: Seams, services: [PeerService: (PeerCaller, [UInt8]) async -> PeerAnswer] = [:],
        onRemoval: @escaping () -> Void
    ) async throws(NodeError) -> PeerTransport {
        guard let address = configuration.peerAddress else {
            throw .configuration("an address for peers is needed to fetch from them what is lacking")
        }
        let peers = PeerTransport(
            identity: PeerIdentity(cluster: identity.cluster, name: configuration.name, replica: identity.replica),
            configuration: configuration.peers, seams: seams, log: log)
        peers.isRetired = { membership.isRetired($0) }
        var isRemoved = false
        peers.onRefused = { reason, peer in
            if reason == .retired, !isRemoved {
                isRemoved = true
                onRemoval()
                log.write(Node.removalEvent(identity.replica, toldBy: peer))
            }
        }
        peers.services = services
        do throws(IOError) {
            let bound = try await peers.listen(on: address)
            peers.identity.address = SocketAddress(parsing: configuration.advertisedAddress(bound))
        } catch { throw .log(.unavailable("\(address): \(error)")) }
        peers.updateMembers(addresses(of: membership))
        return peers
    }

    static func addresses(of membership: Membership) -> [PeerAddress] {
        membership.members.compactMap { member in
            SocketAddress(parsing: member.address).map {
                PeerAddress(replica: member.replica, name: member.name, address: $0)
            }
        }
    }
}
