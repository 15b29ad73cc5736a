import CordwoodBase
import CordwoodIO

final class VirtualListener: Listener {
    let address: SocketAddress
    let host: String
    let life: VirtualLife?
    private let network: VirtualNetwork
    private var arrived: [VirtualConnection] = []
    private var acceptor: UInt64?
    private var isClosed = false

    init(_ network: VirtualNetwork, _ address: SocketAddress, host: String, _ life: VirtualLife?) {
        self.network = network
        self.address = address
        self.host = host
        self.life = life
    }

    func accept() async throws(IOError) -> any Connection {
        while true {
            if isClosed || network.isEnded { throw IOError(.closed, operation: "accept", subject: address.description) }
            if !arrived.isEmpty { return arrived.removeFirst() }
            invariant(acceptor == nil, "two accepts at a time on \(address)")
            await network.wait("accept on \(address)", life) { acceptor = $0 }
            acceptor = nil
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        network.remove(self)
        for connection in arrived { connection.close() }
        arrived = []
        network.wake(acceptor)
    }

    func deliver(_ connection: VirtualConnection) {
        arrived.append(connection)
        network.wake(acceptor)
    }
}
