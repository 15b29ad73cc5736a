import CordwoodBase
import CordwoodIO

/// The network between the nodes of a group: every node is told to others by an address of this proxy, which passes
/// bytes on to where the node really listens.
///
/// Who dials is read from the first frame of a connection, where a node gives its name. So every connection belongs to
/// a pair of nodes, and each direction of a pair is a `FaultLink`. Nothing here needs privileges.
final class FaultProxy {
    private final class Passage {
        let pair: (dialler: String, target: String)
        let ends: [any Connection]

        init(_ pair: (String, String), _ ends: [any Connection]) {
            self.pair = pair
            self.ends = ends
        }

        func close() { for end in ends { end.close() } }
    }

    private let seams: Seams
    private var links: [String: [String: FaultLink]] = [:]
    private var listeners: [any Listener] = []
    private var passages: [ObjectIdentifier: Passage] = [:]
    private var isClosed = false
    /// Connections whose first frame named nobody.
    private(set) var strangers = 0
    private(set) var passedBytes = 0

    private static let chunkBytes = 64 << 10

    init(_ seams: Seams) { self.seams = seams }

    func link(from: String, to: String) -> FaultLink {
        if let link = links[from]?[to] { return link }
        let link = FaultLink()
        links[from, default: [:]][to] = link
        return link
    }

    /// Passes connections to `address` on to `target`, where the node of that name listens.
    func open(_ address: SocketAddress, for name: String, at target: SocketAddress) async throws(TrialError) {
        let listener: any Listener
        do throws(IOError) { listener = try await seams.network.listen(address) } catch {
            throw TrialError("the proxy cannot listen: \(error)")
        }
        listeners.append(listener)
        seams.scheduler.spawn("proxy of \(name)") { [self] in
            while let connection = try? await listener.accept() {
                seams.scheduler.spawn("passage to \(name)") { [self] in
                    await pass(connection, to: name, at: target)
                }
            }
        }
    }

    /// Heals every link.
    func heal() {
        for row in links.values { for link in row.values { link.heal() } }
    }

    /// Resets the connections between two nodes; both dial again. Returns how many there were.
    func breakConnections(between one: String, and other: String) -> Int {
        let broken = passages.values.filter { $0.pair == (one, other) || $0.pair == (other, one) }
        for passage in broken { passage.close() }
        return broken.count
    }

    func close() {
        isClosed = true
        for listener in listeners { listener.close() }
        for passage in passages.values { passage.close() }
        heal()
    }

    // MARK: One connection

    private func pass(_ near: any Connection, to name: String, at target: SocketAddress) async {
        let first = IOBuffer(count: Self.chunkBytes)
        var count = 0
        var dialler: String?
        while dialler == nil {
            guard count < first.count, let got = try? await near.receive(into: first, count..<first.count), got > 0
            else { return near.close() }
            count += got
            switch Greeting(first[0..<count]) {
            case .unfinished: continue
            case .named(let name): dialler = name
            case .foreign:
                strangers += 1
                dialler = ""
            }
        }
        let pair = (dialler ?? "", name)
        let (forth, back) = (link(from: pair.0, to: pair.1), link(from: pair.1, to: pair.0))
        // A connection is made by packets in both directions.
        await back.untilOpen()
        await forth.pass(bytes: count, seams.clock)
        let far: any Connection
        do throws(IOError) {
            far = try await seams.network.connect(target, timeoutNanoseconds: 1_000_000_000)
            try await far.send(first, 0..<count)
        } catch { return near.close() }
        if isClosed {
            near.close()
            return far.close()
        }
        let passage = Passage(pair, [near, far])
        passages[ObjectIdentifier(passage)] = passage
        seams.scheduler.spawn("way back") { [self] in await pump(far, near, back) }
        await pump(near, far, forth)
        passages[ObjectIdentifier(passage)] = nil
    }

    /// Passes on what comes, until one side has finished. The other hears of that end over the same link.
    private func pump(_ source: any Connection, _ target: any Connection, _ link: FaultLink) async {
        let buffer = IOBuffer(count: Self.chunkBytes)
        while true {
            // While the link is cut nothing is taken: the sender's window fills, as it does when nothing is answered.
            await link.untilOpen()
            guard let count = try? await source.receive(into: buffer, 0..<buffer.count), count > 0 else { break }
            await link.pass(bytes: count, seams.clock)
            passedBytes += count
            guard (try? await target.send(buffer, 0..<count)) != nil else { break }
        }
        await link.untilOpen()
        source.close()
        target.close()
    }
}

/// The name in the first frame of a peer connection: a header of 24 bytes with the body's length at 8, then the body
/// with the name behind 62 bytes, as its length (u16) and its bytes.
enum Greeting: Hashable {
    case unfinished
    case named(String)
    case foreign

    private static let headerBytes = 24
    private static let lengthOffset = 8
    private static let nameOffset = headerBytes + 62

    init(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.headerBytes else {
            self = .unfinished
            return
        }
        let body = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.lengthOffset, as: UInt32.self)))
        guard body > Self.nameOffset - Self.headerBytes, body < 4096 else {
            self = .foreign
            return
        }
        guard bytes.count >= Self.headerBytes + body else {
            self = .unfinished
            return
        }
        let length = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.nameOffset, as: UInt16.self)))
        let start = Self.nameOffset + 2
        guard length > 0, start + length <= Self.headerBytes + body else {
            self = .foreign
            return
        }
        self = .named(String(decoding: bytes[start..<start + length], as: UTF8.self))
    }
}
