/// TCP, as few verbs as the engine needs.
public protocol Network: AnyObject {
    /// Port 0 takes a free one; the listener's address tells which.
    func listen(_ address: SocketAddress) async throws(IOError) -> any Listener

    /// Fails with `.timedOut` when the other side has not answered within `timeoutNanoseconds`; without one it is left
    /// to the system, which may take minutes.
    func connect(_ address: SocketAddress, timeoutNanoseconds: UInt64?) async throws(IOError) -> any Connection
}

extension Network {
    public func connect(_ address: SocketAddress) async throws(IOError) -> any Connection {
        try await connect(address, timeoutNanoseconds: nil)
    }
}

/// An IP address or host name, and a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `host:port`, with brackets around an IPv6 address.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A socket that waits for connections.
public protocol Listener: AnyObject {
    var address: SocketAddress { get }

    /// The next connection. Fails with `.closed` after `close`.
    func accept() async throws(IOError) -> any Connection

    func close()
}

/// A connected socket. At most one `receive` and one `send` are under way at a time.
public protocol Connection: AnyObject {
    var peerAddress: SocketAddress { get }

    /// Receives at least one byte into `buffer[range]`; 0 means that the other side has finished.
    func receive(into buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) -> Int

    /// The same without a task: `receiver` is told, from a turn of the loop and never from inside this call. It is held
    /// until then.
    func receive(into buffer: IOBuffer, _ range: Range<Int>, for receiver: any ConnectionReceiver)

    /// Sends what the connection takes without waiting, and returns how many bytes that were: 0 when it takes none now,
    /// a send is under way, or the connection has failed, which the next `send` tells.
    func sendAtOnce(_ bytes: UnsafeRawBufferPointer) -> Int

    /// Sends all of `buffer[range]`.
    func send(_ buffer: IOBuffer, _ range: Range<Int>) async throws(IOError)

    /// Ends both directions; operations under way fail with `.closed`.
    func close()
}

/// Hears what a connection has received.
public protocol ConnectionReceiver: AnyObject {
    /// One receive has ended: so many bytes lie in the buffer, 0 when the other side has finished.
    func received(_ result: Result<Int, IOError>)
}
