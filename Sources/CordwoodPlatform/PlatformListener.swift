internal import CLinux
internal import CordwoodIO
internal import Glibc

final class PlatformListener: Listener {
    let address: SocketAddress

    private let loop: EventLoop
    /// -1 once closed and quiet.
    private var descriptor: Int32
    private var accepting: OperationToken?
    private var isClosed = false

    init(_ descriptor: Int32, _ address: SocketAddress, _ loop: EventLoop) {
        self.descriptor = descriptor
        self.address = address
        self.loop = loop
    }

    deinit {
        if descriptor >= 0 { loop.closeSocket(descriptor) }
    }

    func accept() async throws(IOError) -> any Connection {
        while true {
            guard !isClosed else { throw IOError(.closed, operation: "accept", subject: address.description) }
            let result = await loop.perform(.accept(descriptor)) { accepting = $0 }
            accepting = nil
            if isClosed { closeWhenQuiet() }
            switch result {
            case -EINTR, -EAGAIN, -ECONNABORTED, -EPROTO: continue
            case ..<0: throw IOError(errorNumber: -result, operation: "accept", subject: address.description)
            default:
                // A connection that ended before it was accepted has no peer any more; the next may.
                if let connection = connection(result) { return connection }
            }
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        if let accepting { loop.cancel(accepting) } else { closeWhenQuiet() }
    }

    private func connection(_ accepted: Int32) -> PlatformConnection? {
        var peer = clinux_address()
        guard !isClosed, clinux_tune_connection(accepted) == 0, clinux_peer_address(accepted, &peer) == 0,
            let peerAddress = SocketAddress(peer)
        else {
            loop.closeSocket(accepted)
            return nil
        }
        return PlatformConnection(accepted, peerAddress, loop)
    }

    private func closeWhenQuiet() {
        loop.closeSocket(descriptor)
        descriptor = -1
    }
}
