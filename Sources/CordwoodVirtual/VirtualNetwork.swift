import CordwoodBase
public import CordwoodIO

/// TCP within a world: bytes arrive whole, in order and once, after some time, until one side closes.
///
/// Every machine of the world is reached by its name. As a `Network` this object is that of the world itself, where
/// tests and clients live: it may listen under any name, and faults meet it under the name `home`. The faults are in
/// `VirtualNetwork+Faults.swift`.
public final class VirtualNetwork: Network {
    /// The world itself, as the end of a link.
    public static let home = "home"

    public struct Options: Sendable {
        /// How long bytes travel, in nanoseconds of virtual time.
        public var latencyNanoseconds: ClosedRange<UInt64> = 20_000...200_000
        /// Bytes that may lie unread at the other side before a send waits.
        public var windowBytes = 256 * 1024
        /// After so long what was lost is sent again; the interval doubles each time.
        public var retransmitNanoseconds: UInt64 = 200_000_000
        /// A connection breaks when what it sends does not arrive for so long.
        public var userTimeoutNanoseconds: UInt64 = 30_000_000_000
        /// An attempt to connect begins again after so long, which doubles each time.
        public var connectRetryNanoseconds: UInt64 = 1_000_000_000
        /// An attempt to connect without a limit of its own ends after so long.
        public var connectTimeoutNanoseconds: UInt64 = 120_000_000_000

        public init() {}
    }

    public var options = Options()

    let random: VirtualRandom
    let clock: VirtualClock
    let trace: Trace
    private let queue: VirtualQueue
    private var listeners: [SocketAddress: VirtualListener] = [:]
    private var nextPort: UInt16 = 40_000

    private struct Wait {
        var what: String
        var life: VirtualLife?
        var continuation: UnsafeContinuation<Void, Never>
    }

    private var waits: [UInt64: Wait] = [:]
    private var nextWait: UInt64 = 1
    private(set) var isEnded = false

    /// Machines in the order in which they came, and those without power.
    private(set) var hostNames: [String] = []
    private var down: Set<String> = []

    struct LinkName: Hashable {
        var from: String
        var to: String
    }

    struct Link {
        var condition = LinkCondition()
        var clogEndNanoseconds: UInt64 = 0
        var busyUntilNanoseconds: UInt64 = 0
    }

    /// Links that are not as all others.
    var links: [LinkName: Link] = [:]
    /// Open ends of connections, by number.
    private var ends: [UInt64: VirtualConnection] = [:]
    private var nextEnd: UInt64 = 1

    init(random: VirtualRandom, clock: VirtualClock, queue: VirtualQueue, trace: Trace) {
        self.random = random
        self.clock = clock
        self.queue = queue
        self.trace = trace
    }

    // MARK: The seam

    public func listen(_ address: SocketAddress) async throws(IOError) -> any Listener {
        try listen(address, at: VirtualNetwork.home, nil)
    }

    public func connect(_ address: SocketAddress, timeoutNanoseconds: UInt64?) async throws(IOError) -> any Connection {
        try await connect(address, timeoutNanoseconds, from: VirtualNetwork.home, nil)
    }

    func listen(_ address: SocketAddress, at host: String, _ life: VirtualLife?) throws(IOError) -> any Listener {
        if isEnded { throw ended("listen", address) }
        var address = address
        if address.port == 0 { address.port = drawPort() }
        if listeners[address] != nil {
            throw IOError(.exists, operation: "listen", subject: address.description, errorNumber: 98)
        }
        let listener = VirtualListener(self, address, host: host, life)
        listeners[address] = listener
        return listener
    }

    func connect(
        _ address: SocketAddress, _ timeoutNanoseconds: UInt64?, from host: String, _ life: VirtualLife?
    ) async throws(IOError) -> any Connection {
        let deadline = clock.monotonicNanoseconds + (timeoutNanoseconds ?? options.connectTimeoutNanoseconds)
        var retry = options.connectRetryNanoseconds
        let target = hostNames.contains(address.host) ? address.host : VirtualNetwork.home
        while true {
            await clock.sleep(nanoseconds: min(drawLatency(host, target), timeLeft(deadline)))
            if isEnded { throw ended("connect", address) }
            if passes(host, target), passes(target, host), !down.contains(target) { break }
            await clock.sleep(nanoseconds: min(retry, timeLeft(deadline)))
            retry *= 2
            if timeLeft(deadline) == 0 {
                throw IOError(.timedOut, operation: "connect", subject: address.description, errorNumber: 110)
            }
        }
        guard let listener = listeners[address] else {
            throw IOError(.refused, operation: "connect", subject: address.description, errorNumber: 111)
        }
        let here = SocketAddress(host: host == VirtualNetwork.home ? address.host : host, port: drawPort())
        let client = VirtualConnection(self, peerAddress: address, host: host, life)
        let server = VirtualConnection(self, peerAddress: here, host: listener.host, listener.life)
        VirtualConnection.join(client, server)
        trace.record("connect", UInt64(address.port), UInt64(here.port))
        listener.deliver(server)
        return client
    }

    private func timeLeft(_ deadline: UInt64) -> UInt64 { deadline - min(deadline, clock.monotonicNanoseconds) }

    private func ended(_ operation: String, _ address: SocketAddress) -> IOError {
        IOError(.closed, operation: operation, subject: address.description)
    }

    private func drawPort() -> UInt16 {
        defer { nextPort = nextPort == .max ? 40_000 : nextPort + 1 }
        return nextPort
    }

    func remove(_ listener: VirtualListener) {
        if listeners[listener.address] === listener { listeners[listener.address] = nil }
    }

    // MARK: Links

    func link(_ from: String, _ to: String) -> Link? { links.isEmpty ? nil : links[LinkName(from: from, to: to)] }

    func passes(_ from: String, _ to: String) -> Bool { link(from, to)?.condition.isCut != true }

    func isDown(_ host: String) -> Bool { down.contains(host) }

    /// How long what is sent now travels.
    func drawLatency(_ from: String, _ to: String) -> UInt64 {
        random.next(in: link(from, to)?.condition.latencyNanoseconds ?? options.latencyNanoseconds)
    }

    /// When bytes that are sent now arrive, if nothing is in their way then.
    func drawArrival(_ from: String, _ to: String, bytes: Int) -> UInt64 {
        var start = clock.monotonicNanoseconds
        if let link = link(from, to) {
            if let limit = link.condition.bytesPerSecond {
                let nanoseconds = UInt64(bytes) * 1_000_000_000 / max(1, limit)
                start = max(start, link.busyUntilNanoseconds) + nanoseconds
                links[LinkName(from: from, to: to)]?.busyUntilNanoseconds = start
            }
            var retransmit = options.retransmitNanoseconds
            while link.condition.lossPermille > 0, random.chance(min(link.condition.lossPermille, 999), in: 1000) {
                start += retransmit
                retransmit *= 2
            }
        }
        return start + drawLatency(from, to)
    }

    // MARK: Ends of connections

    func open(_ end: VirtualConnection) -> UInt64 {
        defer { nextEnd += 1 }
        ends[nextEnd] = end
        return nextEnd
    }

    func forget(_ end: VirtualConnection) { ends[end.number] = nil }

    /// Open ends, the oldest first.
    var openEnds: [VirtualConnection] { ends.sorted { $0.key < $1.key }.map(\.value) }

    // MARK: Machines

    func addHost(_ name: String) { hostNames.append(name) }

    /// A machine starts or stops to be there. Without power it says nothing any more, not even that it is gone.
    func power(_ host: String, isOn: Bool) {
        if isOn { down.remove(host) } else { down.insert(host) }
    }

    /// Everything of a life goes: in silence, or as when its process ends and the system closes what it held.
    func end(_ life: VirtualLife, inSilence isSilent: Bool) {
        for end in openEnds where end.life === life { if isSilent { end.vanish() } else { end.close() } }
        for listener in listeners.values.sorted(by: { $0.address.description < $1.address.description })
        where listener.life === life {
            if isSilent { remove(listener) } else { listener.close() }
        }
    }

    // MARK: Waiting

    /// Starts a task of a life, for what the seam lets callers wait for without one.
    func spawn(_ what: String, _ life: VirtualLife?, _ body: @escaping () async -> Void) {
        VirtualScheduler(queue, life).spawn(what, body)
    }

    /// Suspends until it is woken, and names the wait in the report of a world that is stuck. `note` is given the
    /// number to wake it by.
    func wait(_ what: String, _ life: VirtualLife?, _ note: (UInt64) -> Void) async {
        if isEnded { return }
        let number = nextWait
        nextWait += 1
        note(number)
        await withUnsafeContinuation { waits[number] = Wait(what: what, life: life, continuation: $0) }
    }

    func wake(_ number: UInt64?) {
        guard let number, let wait = waits.removeValue(forKey: number) else { return }
        wait.continuation.resume()
    }

    var operationsUnderWay: [String] {
        waits.sorted { $0.key < $1.key }.filter { $0.value.life?.isOver != true }.map { "network \($0.value.what)" }
    }

    /// The world is over: whatever waits or is still asked for fails.
    func end() {
        isEnded = true
        for number in waits.keys.sorted() { wake(number) }
        for end in openEnds { end.vanish() }
        listeners = [:]
    }
}
