// `cordwood-bench catch-up`: how fast a new member is brought up, beside what the transport and the device give.

internal import Cordwood
internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodMachine
internal import CordwoodOptions
internal import CordwoodPlatform
internal import Foundation

extension BenchCommand {
    /// Members join a group of one that holds so many events, one after the other: how fast pieces come over while
    /// nothing else goes on, what one stream of the transport and sequential durable writes give before and after each
    /// of them, and how long it takes to put the pieces in place and to apply them. Everything is on this machine, each
    /// node on a loop of its own. The figures are those of the member in the middle.
    static let catchUp = BenchCommand(
        "catch-up", operands: ["[COUNT]"], "how fast a member that joins is brought up over 256-byte events"
    ) { run in
        guard let count = run.operands.first.map({ UInt64($0) }) ?? 1_000_000, count > 0 else {
            throw OptionError(.usage, "catch-up: the operand is a number of events")
        }
        let report = run.report()
        for backend in run.backends {
            report.add(
                try CatchUpBench(
                    backend: backend, directory: run.directory, eventCount: count,
                    timeNanoseconds: run.timeNanoseconds
                ).run())
        }
    }
}

private struct CatchUpBench: Sendable {
    let backend: Platform.Choice
    let directory: String
    let eventCount: UInt64
    let timeNanoseconds: UInt64

    private static let partitionCount: UInt64 = 32
    private static let proposers: UInt64 = 2048
    private static let pieceBytes = 1 << 20
    private static let joins = 3

    /// What lives on one loop, kept between calls.
    private final class Held<Value>: @unchecked Sendable {
        var value: Value?
    }

    private struct Moved: Sendable {
        var bytes: UInt64
        var fetchNanoseconds: UInt64
        var installNanoseconds: UInt64
        var replayNanoseconds: UInt64
        /// What stream and device gave around it.
        var streamBytesPerSecond = 0.0
        var deviceBytesPerSecond = 0.0

        var bytesPerSecond: Double { Double(bytes) / (Double(fetchNanoseconds) / 1e9) }
        var ofTheLesser: Double { bytesPerSecond / min(streamBytesPerSecond, deviceBytesPerSecond) }
    }

    func run() throws -> Report.Row {
        let source = try Platform.start(io: backend)
        defer { source.shutdown() }
        let joiner = try Platform.start(io: backend)
        defer { joiner.shutdown() }
        let node = Held<Node>()
        let contact = try open(node, source)
        var all: [Moved] = []
        for number in 1...Self.joins {
            let before = try ceilings(source, joiner)
            var moved = try join(contact, number, joiner)
            let after = try ceilings(source, joiner)
            moved.streamBytesPerSecond = (before.stream + after.stream) / 2
            moved.deviceBytesPerSecond = (before.device + after.device) / 2
            all.append(moved)
        }
        try source.runToEnd { _ in try await node.value?.close() }
        try remove(node.value)
        let moved = all.sorted { $0.ofTheLesser < $1.ofTheLesser }[all.count / 2]
        return [
            ("io", .text(backend.rawValue)), ("events", .count(eventCount)),
            ("pieces_mb", .number(Double(moved.bytes) / 1e6, digits: 1)),
            ("pieces_mb_s", .number(moved.bytesPerSecond / 1e6, digits: 1)),
            ("stream_mb_s", .number(moved.streamBytesPerSecond / 1e6, digits: 1)),
            ("device_mb_s", .number(moved.deviceBytesPerSecond / 1e6, digits: 1)),
            ("of_the_lesser", .number(moved.ofTheLesser, digits: 2)),
            ("install_ms", .count(moved.installNanoseconds / 1_000_000)),
            ("replay_events_s", .number(Double(eventCount) / (Double(moved.replayNanoseconds) / 1e9), digits: 0)),
        ]
    }

    // MARK: What there is to compare with

    private func ceilings(_ source: Platform, _ joiner: Platform) throws -> (stream: Double, device: Double) {
        let device = try joiner.runToEnd { seams in try await self.deviceBytesPerSecond(seams) }
        return (try streamBytesPerSecond(source, joiner), device)
    }

    /// Durable writes one after another, of the size of a piece.
    private func deviceBytesPerSecond(_ seams: Seams) async throws -> Double {
        let device = try await DeviceCeiling(seams, directory: directory)
        let figures = try await device.measure(
            blockBytes: Self.pieceBytes, depth: 1, forNanoseconds: timeNanoseconds)
        try await device.close()
        return figures.megabytesPerSecond * 1e6
    }

    /// One call after another over one connection, each answered with a piece.
    private func streamBytesPerSecond(_ source: Platform, _ joiner: Platform) throws -> Double {
        let cluster = UniqueID(high: 1, low: 1)
        let giver = Held<PeerTransport>()
        let address = try source.runToEnd { seams in
            let transport = PeerTransport(
                identity: PeerIdentity(cluster: cluster, name: "giver", replica: 1), seams: seams)
            let piece = [UInt8](repeating: 0x78, count: Self.pieceBytes)
            transport.services[.piece] = { _, _ in .success(piece) }
            giver.value = transport
            return try await transport.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        }
        let rate = try joiner.runToEnd { seams in
            let transport = PeerTransport(
                identity: PeerIdentity(cluster: cluster, name: "taker", replica: 2), seams: seams)
            transport.updateMembers([PeerAddress(replica: 1, name: "giver", address: address)])
            func call() async throws -> Int {
                try await transport.call(
                    1, .piece, [UInt8](repeating: 0, count: 40), lane: .bulk, timeoutNanoseconds: 10_000_000_000
                ).count
            }
            _ = try await call()
            let start = seams.clock.monotonicNanoseconds
            var bytes = 0
            while seams.clock.monotonicNanoseconds < start + timeNanoseconds { bytes += try await call() }
            let elapsed = seams.clock.monotonicNanoseconds - start
            await transport.close()
            return Double(bytes) / (Double(elapsed) / 1e9)
        }
        try source.runToEnd { _ in
            await giver.value?.close()
            giver.value = nil
        }
        return rate
    }

    // MARK: The transfer

    private func configuration(_ name: String, _ port: UInt16, _ group: GroupStart) -> NodeConfiguration {
        var configuration = NodeConfiguration(directory: "\(directory)/cordwood-bench-\(name)", name: name)
        configuration.partitionCount = Int(Self.partitionCount)
        configuration.group = group
        configuration.peerAddress = SocketAddress(host: "127.0.0.1", port: port)
        configuration.catchUp.bytesPerSecond = nil
        return configuration
    }

    /// An address that nobody listens at.
    private func freeAddress(_ seams: Seams) async throws -> SocketAddress {
        let transport = PeerTransport(
            identity: PeerIdentity(cluster: UniqueID(high: 1, low: 1), name: "probe", replica: 1), seams: seams)
        let address = try await transport.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        await transport.close()
        return address
    }

    /// The group of one, and its events. Returns where its peers connect.
    private func open(_ held: Held<Node>, _ source: Platform) throws -> SocketAddress {
        try source.runToEnd { seams in
            let address = try await freeAddress(seams)
            let founder = GroupStart.Founder(name: "source", address: address)
            let node = try await Node.open(
                configuration("source-\(address.port)", address.port, .founding([founder])).named("source"),
                machine: { _ in .synchronous(Counter()) }, seams: seams)
            held.value = node
            try await fill(node, seams)
            return address
        }
    }

    /// A member with an empty directory, which never becomes a voter: the group goes on without it.
    private func join(_ contact: SocketAddress, _ number: Int, _ joiner: Platform) throws -> Moved {
        let held = Held<Node>()
        let moved = try joiner.runToEnd { seams in
            let port = try await freeAddress(seams).port
            var configuration = configuration("joiner-\(port)", port, .joining([contact])).named("joiner \(number)")
            configuration.becomesVoter = false
            let node = try await Node.open(
                configuration, machine: { _ in .synchronous(Counter()) }, seams: seams)
            held.value = node
            return try await watch(node, seams)
        }
        try joiner.runToEnd { _ in try await held.value?.close() }
        try remove(held.value)
        return moved
    }

    private func remove(_ node: Node?) throws {
        if let node { try FileManager.default.removeItem(atPath: node.configuration.directory) }
    }

    /// Writes the events, many at a time.
    private func fill(_ node: Node, _ seams: Seams) async throws {
        while !node.isLeader { await seams.clock.sleep(nanoseconds: 1_000_000) }
        let payload = [UInt8](repeating: 0x78, count: 256)
        var next: UInt64 = 0
        var remaining = Self.proposers
        var failure: (any Error)?
        await withUnsafeContinuation { (done: UnsafeContinuation<Void, Never>) in
            for _ in 0..<Self.proposers {
                seams.scheduler.spawn("propose") {
                    while next < eventCount, failure == nil {
                        next += 1
                        do { _ = try await node.propose(payload, to: PartitionID(next % Self.partitionCount)) } catch {
                            failure = error
                        }
                    }
                    remaining -= 1
                    if remaining == 0 { done.resume() }
                }
            }
        }
        if let failure { throw failure }
    }

    /// Waits until the member holds everything, and takes the times.
    private func watch(_ node: Node, _ seams: Seams) async throws -> Moved {
        let clock = seams.clock
        while !node.isCatchingUp { await clock.sleep(nanoseconds: 100_000) }
        var fetched = clock.monotonicNanoseconds
        while node.isCatchingUp {
            if node.status.log.boundary.index == 0 { fetched = clock.monotonicNanoseconds }
            await clock.sleep(nanoseconds: 1_000_000)
        }
        let installed = clock.monotonicNanoseconds
        let events = { (0..<Self.partitionCount).reduce(0) { $0 + node.watermark(of: PartitionID($1)) } }
        while events() < eventCount {
            _ = await node.barrier(
                through: node.status.dispatched, partitions: nil, timeoutNanoseconds: 1_000_000_000)
        }
        let progress = node.catchUpProgress
        return Moved(
            bytes: progress?.fetchedBytes ?? 0, fetchNanoseconds: progress?.nanoseconds ?? 1,
            installNanoseconds: installed - fetched, replayNanoseconds: clock.monotonicNanoseconds - installed)
    }

    /// Counts.
    private final class Counter: PartitionStateMachine {
        private var count: UInt64 = 0

        func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
            count += 1
            return ApplyOutcome(eventCount: 1)
        }

        func snapshot() throws -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: count)
            return bytes
        }

        func restore(_ snapshot: [UInt8]) throws {
            count = snapshot.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
        }
    }
}

extension NodeConfiguration {
    /// The same under another name.
    fileprivate func named(_ name: String) -> NodeConfiguration {
        var named = self
        named.name = name
        return named
    }
}
