import CordwoodBase
public import CordwoodIO

/// TCP within a world: bytes arrive whole, in order and once, after some time, until one side closes.
public final class VirtualNetwork: Network {
    public struct Options: Sendable {
        /// How long bytes travel, in nanoseconds of virtual time.
        public var latencyNanoseconds: ClosedRange<UInt64> = 20_000...200_000
        /// Bytes that may lie unread at the other side before a send waits.
        public var windowBytes = 256 * 1024

        public init() {}
    }

    public var options = Options()

    private let random: VirtualRandom
    let clock: VirtualClock
    let trace: Trace
    private var listeners: [SocketAddress: VirtualListener] = [:]
    private var nextPort: UInt16 = 40_000
    private var waits: [UInt64: String] = [:]
    private var nextWait: UInt64 = 1

    init(random: VirtualRandom, clock: VirtualClock, trace: Trace) {
        self.random = random
        self.clock = clock
        self.trace = trace
    }

    public func listen(_ address: SocketAddress) async throws(IOError) -> any Listener {
        var address = address
        if address.port == 0 { address.port = drawPort() }
        if listeners[address] != nil {
            throw IOError(.exists, operation: "listen", subject: address.description, errorNumber: 98)
        }
        let listener = VirtualListener(network: self, address: address)
        listeners[address] = listener
        return listener
    }

    public func connect(_ address: SocketAddress, timeoutNanoseconds: UInt64?) async throws(IOError) -> any Connection {
        await clock.sleep(nanoseconds: drawLatency())
        guard let listener = listeners[address] else {
            throw IOError(.refused, operation: "connect", subject: address.description, errorNumber: 111)
        }
        let here = SocketAddress(host: address.host, port: drawPort())
        let client = VirtualConnection(network: self, peerAddress: address)
        let server = VirtualConnection(network: self, peerAddress: here)
        client.peer = server
        server.peer = client
        trace.record("connect", UInt64(address.port), UInt64(here.port))
        listener.deliver(server)
        return client
    }

    func remove(_ listener: VirtualListener) { listeners[listener.address] = nil }

    func drawLatency() -> UInt64 { random.next(in: options.latencyNanoseconds) }

    /// Suspends until `body`'s continuation is resumed, and names the wait in the report of a world that is stuck.
    func wait(_ what: String, _ body: (UnsafeContinuation<Void, Never>) -> Void) async {
        let number = nextWait
        nextWait += 1
        waits[number] = what
        await withUnsafeContinuation { body($0) }
        waits[number] = nil
    }

    var operationsUnderWay: [String] { waits.sorted { $0.key < $1.key }.map { "network \($0.value)" } }

    private func drawPort() -> UInt16 {
        defer { nextPort = nextPort == .max ? 40_000 : nextPort + 1 }
        return nextPort
    }
}

final class VirtualListener: Listener {
    let address: SocketAddress
    private let network: VirtualNetwork
    private var arrived: [VirtualConnection] = []
    private var acceptor: UnsafeContinuation<Void, Never>?
    private var isClosed = false

    init(network: VirtualNetwork, address: SocketAddress) {
        self.network = network
        self.address = address
    }

    func accept() async throws(IOError) -> any Connection {
        while true {
            if isClosed { throw IOError(.closed, operation: "accept", subject: address.description) }
            if !arrived.isEmpty { return arrived.removeFirst() }
            invariant(acceptor == nil, "two accepts at a time on \(address)")
            await network.wait("accept on \(address)") { acceptor = $0 }
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        network.remove(self)
        for connection in arrived { connection.close() }
        arrived = []
        wake()
    }

    func deliver(_ connection: VirtualConnection) {
        arrived.append(connection)
        wake()
    }

    private func wake() {
        let waiting = acceptor
        acceptor = nil
        waiting?.resume()
    }
}

final class VirtualConnection: Connection {
    let peerAddress: SocketAddress
    /// The other end. Both ends hold each other until one closes.
    var peer: VirtualConnection?

    private let network: VirtualNetwork
    private var unread: ArraySlice<UInt8> = []
    private var unreadAndTravelling = 0
    private var lastArrival: UInt64 = 0
    private var peerHasFinished = false
    private var isClosed = false
    private var receiver: UnsafeContinuation<Void, Never>?
    private var sender: UnsafeContinuation<Void, Never>?

    init(network: VirtualNetwork, peerAddress: SocketAddress) {
        self.network = network
        self.peerAddress = peerAddress
    }

    func receive(into buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) -> Int {
        invariant(!range.isEmpty, "receive into nothing")
        while true {
            if isClosed { throw closed("receive") }
            if !unread.isEmpty {
                let count = min(range.count, unread.count)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer.bytes[range.lowerBound..<range.lowerBound + count])
                unread.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                unread.removeFirst(count)
                unreadAndTravelling -= count
                peer?.wakeSender()
                return count
            }
            if peerHasFinished { return 0 }
            invariant(receiver == nil, "two receives at a time from \(peerAddress)")
            await network.wait("receive from \(peerAddress)") { receiver = $0 }
        }
    }

    func send(_ buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) {
        var start = range.lowerBound
        while start < range.upperBound {
            if isClosed { throw closed("send") }
            guard let peer, !peer.isClosed else { throw closed("send") }
            let room = network.options.windowBytes - peer.unreadAndTravelling
            if room <= 0 {
                invariant(sender == nil, "two sends at a time to \(peerAddress)")
                await network.wait("send to \(peerAddress)") { sender = $0 }
                continue
            }
            let end = min(range.upperBound, start + room)
            peer.expect([UInt8](buffer[start..<end]))
            start = end
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        if let peer { peer.expectEnd() }
        peer = nil
        wakeReceiver()
        wakeSender()
    }

    private func closed(_ operation: String) -> IOError {
        IOError(.closed, operation: operation, subject: peerAddress.description)
    }

    /// Bytes have been sent to this end: they arrive later, and never before what was sent earlier.
    private func expect(_ bytes: [UInt8]) {
        unreadAndTravelling += bytes.count
        arrive {
            self.unread.append(contentsOf: bytes)
            self.network.trace.record("arrive", UInt64(bytes.count))
        }
    }

    private func expectEnd() {
        arrive {
            self.peerHasFinished = true
            self.peer = nil
            self.wakeSender()
        }
    }

    private func arrive(_ body: @escaping () -> Void) {
        lastArrival = max(lastArrival, network.clock.monotonicNanoseconds + network.drawLatency())
        _ = network.clock.schedule(atNanoseconds: lastArrival) {
            body()
            self.wakeReceiver()
        }
    }

    private func wakeReceiver() {
        let waiting = receiver
        receiver = nil
        waiting?.resume()
    }

    fileprivate func wakeSender() {
        let waiting = sender
        sender = nil
        waiting?.resume()
    }
}
