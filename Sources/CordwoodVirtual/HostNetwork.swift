import CordwoodBase
import CordwoodIO

/// The network as one life of one machine sees it: it listens under its own name.
final class HostNetwork: Network {
    private let network: VirtualNetwork
    private let host: String
    private let life: VirtualLife

    init(_ network: VirtualNetwork, _ host: String, _ life: VirtualLife) {
        self.network = network
        self.host = host
        self.life = life
    }

    func listen(_ address: SocketAddress) async throws(IOError) -> any Listener {
        guard address.host == host || address.host == "0.0.0.0" || address.host == "::" else {
            throw IOError(.other, operation: "listen", subject: address.description, errorNumber: 99)
        }
        return try network.listen(SocketAddress(host: host, port: address.port), at: host, life)
    }

    func connect(_ address: SocketAddress, timeoutNanoseconds: UInt64?) async throws(IOError) -> any Connection {
        try await network.connect(address, timeoutNanoseconds, from: host, life)
    }
}
