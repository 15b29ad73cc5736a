import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// The way of an empty directory into a group, before it has a log.
///
/// A directory draws an id of its own first and makes it durable: by it the others tell it from an earlier directory of
/// the same name. Then it finds out whom it belongs to, from its fellow founders or from a member that takes it in, and
/// makes that durable, too. Only then is a log made, and once the log says the same the file is removed. So a directory
/// that has voted can never be taken for a new one, and a new one never for one that has voted: a founder whose disk
/// was replaced comes with another id and is told to be added again.
///
/// The file `entrance`, little-endian: version (u16) = 1, the directory's id (16 bytes), whether it is admitted (u8),
/// the admission, and XXH3-64 of all that.
final class GroupEntrance {
    static let fileName = "entrance"
    static let version: UInt16 = 1
    private static let askAgainNanoseconds: UInt64 = 300_000_000
    private static let answerNanoseconds: UInt64 = 10_000_000_000

    private let configuration: NodeConfiguration
    private let seams: Seams
    private let log: any LogSink
    private var node = UniqueID.none
    private var admission: Admission?

    private init(_ configuration: NodeConfiguration, _ log: any LogSink, _ seams: Seams) {
        self.configuration = configuration
        self.log = log
        self.seams = seams
    }

    /// As whom the directory's log is to be opened; `nil` when it has one, or makes a group of its own.
    static func pass(
        _ configuration: NodeConfiguration, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) -> (node: UniqueID, admission: Admission)? {
        let entrance = GroupEntrance(configuration, log, seams)
        if try await !entrance.read() {
            let hasLog = try await unavailable {
                () async throws(IOError) in
                try await seams.files.list(configuration.directory + "/" + Node.Directory.log).contains {
                    $0.name.hasSuffix(SegmentName.suffix)
                }
            }
            if hasLog || configuration.group == .alone { return nil }
            entrance.node = UniqueID(high: seams.random.next(), low: seams.random.next())
            try await entrance.write()
        }
        if entrance.admission == nil {
            entrance.admission = try await entrance.enter()
            try await entrance.write()
        }
        return entrance.admission.map { (entrance.node, $0) }
    }

    /// The log knows now whom it belongs to.
    static func close(_ directory: String, _ seams: Seams) async throws(NodeError) {
        try await unavailable { () async throws(IOError) in
            do throws(IOError) { try await seams.files.remove("\(directory)/\(fileName)") } catch {
                if error.reason != .notFound { throw error }
            }
            try await seams.files.syncDirectory(directory)
        }
    }

    private static func unavailable<Value>(
        _ body: () async throws(IOError) -> Value
    ) async throws(NodeError) -> Value {
        do throws(IOError) { return try await body() } catch { throw .log(.unavailable("\(error)")) }
    }

    // MARK: The file

    private func read() async throws(NodeError) -> Bool {
        let path = "\(configuration.directory)/\(Self.fileName)"
        let seams = seams
        guard
            let bytes = try await Self.unavailable({ () async throws(IOError) in
                try await seams.files.contents(of: path)
            })
        else { return false }
        do throws(DecodeError) { (node, admission) = try Self.decode(bytes) } catch {
            throw .inconsistent("\(path) cannot be read: \(error)")
        }
        return true
    }

    private func write() async throws(NodeError) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        bytes.append(node)
        bytes.append(admission == nil ? 0 : 1)
        admission?.encode(into: &bytes)
        bytes.append(littleEndian: bytes.withUnsafeBytes { Checksum.xxh3($0, seed: 0) })
        let (seams, directory) = (seams, configuration.directory)
        try await Self.unavailable { () async throws(IOError) in
            try await seams.files.replaceContents(of: Self.fileName, in: directory, with: bytes)
        }
    }

    static func decode(_ bytes: [UInt8]) throws(DecodeError) -> (UniqueID, Admission?) {
        guard bytes.count > 8 else { throw .truncated(needed: 8, available: bytes.count) }
        let content = [UInt8](bytes.dropLast(8))
        let stored = try [UInt8](bytes.suffix(8)).decoded { (reader) throws(DecodeError) in
            try reader.integer(UInt64.self)
        }
        guard stored == content.withUnsafeBytes({ Checksum.xxh3($0, seed: 0) }) else {
            throw .invalid(field: "checksum", value: stored)
        }
        return try content.decoded { (reader) throws(DecodeError) in
            let version = try reader.integer(UInt16.self)
            guard version == Self.version else { throw .invalid(field: "version", value: UInt64(version)) }
            let node = try reader.uniqueID()
            let isAdmitted = try reader.integer(UInt8.self) == 1
            return (node, isAdmitted ? try Admission(from: &reader) : nil)
        }
    }

    // MARK: Asking

    private func enter() async throws(NodeError) -> Admission {
        guard let address = configuration.peerAddress else {
            throw .configuration("a node that is to be part of a group needs an address for its peers")
        }
        let peers = PeerTransport(
            identity: PeerIdentity(cluster: .none, name: configuration.name, replica: .none),
            configuration: configuration.peers, seams: seams, log: log)
        do {
            let bound = try await peers.listen(on: address)
            let admission: Admission
            switch configuration.group {
            case .alone: throw NodeError.configuration("a group of one has nobody to ask")
            case .founding(let founders): admission = try await found(with: founders, over: peers)
            case .joining(let contacts):
                admission = try await join(contacts, as: configuration.advertisedAddress(bound), over: peers)
            }
            await peers.close()
            return admission
        } catch let error as NodeError {
            await peers.close()
            throw error
        } catch {
            await peers.close()
            throw NodeError.log(.unavailable("\(error)"))
        }
    }

    /// Asks the other founders for their directories until all have answered. One that is past this already takes this
    /// one in, if it knows its directory.
    private func found(
        with founders: [GroupStart.Founder], over peers: PeerTransport
    ) async throws(NodeError) -> Admission {
        guard founders.contains(where: { $0.name == configuration.name }) else {
            throw .configuration("node '\(configuration.name)' is not among the founders that it was given")
        }
        guard Set(founders.map(\.name)).count == founders.count else {
            throw .configuration("two founders have the same name")
        }
        let shape = GroupStart.shape(of: founders, partitionCount: configuration.newPartitionCount)
        var nodes = [configuration.name: node]
        let own = node
        peers.services[.join] = { _, body in
            guard case .found(shape, let name, let node)? = try? JoinRequest(decoding: body),
                founders.contains(where: { $0.name == name })
            else {
                return .refused(
                    code: MemberOperationError.notAllowedCode, "this node is founding another group")
            }
            nodes[name] = node
            return .success(JoinAnswer.founding(node: own).encoded())
        }
        let request = JoinRequest.found(shape: shape, name: configuration.name, node: node).encoded()
        log.write(LogEvent(.info, "group", "waits for the other founders"))
        var heard: Set<String> = [configuration.name]
        while heard.count < founders.count {
            for founder in founders where !heard.contains(founder.name) {
                switch try await ask(founder.address, request, over: peers) {
                case .founding(let node):
                    nodes[founder.name] = node
                    heard.insert(founder.name)
                case .admitted(let admission): return admission
                case nil: break
                }
            }
            if heard.count < founders.count { await seams.clock.sleep(nanoseconds: Self.askAgainNanoseconds) }
        }
        return Admission(
            founding: founders, nodes: nodes, partitionCount: configuration.newPartitionCount, as: configuration.name)
    }

    /// Asks one member after another to be taken in, until one does.
    private func join(
        _ contacts: [SocketAddress], as address: String, over peers: PeerTransport
    ) async throws(NodeError) -> Admission {
        guard !contacts.isEmpty else { throw .configuration("no member to ask is named") }
        let request = JoinRequest.join(name: configuration.name, address: address, node: node).encoded()
        log.write(LogEvent(.info, "group", "asks to be taken in", fields: [.init("address", address)]))
        while true {
            for contact in contacts {
                if case .admitted(let admission)? = try await ask(contact, request, over: peers) { return admission }
            }
            await seams.clock.sleep(nanoseconds: Self.askAgainNanoseconds)
        }
    }

    /// One question; `nil` when there is no answer that settles anything yet.
    private func ask(
        _ address: SocketAddress, _ request: [UInt8], over peers: PeerTransport
    ) async throws(NodeError) -> JoinAnswer? {
        do {
            let answer = try await peers.call(
                address: address, .join, request, timeoutNanoseconds: Self.answerNanoseconds)
            return try JoinAnswer(decoding: answer)
        } catch PeerError.refused(MemberOperationError.notAllowedCode, let text) {
            throw .configuration("\(address) refuses: \(text)")
        } catch {
            log.write(
                LogEvent(
                    .debug, "group", "no answer yet",
                    fields: [.init("address", "\(address)"), .init("reason", "\(error)")]))
            return nil
        }
    }
}

extension GroupStart {
    /// A hash of what founders must agree on before they found a group.
    static func shape(of founders: [Founder], partitionCount: Int) -> UInt64 {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(partitionCount))
        for founder in founders.sorted(by: { $0.name < $1.name }) {
            bytes.append(text: founder.name)
            bytes.append(text: "\(founder.address)")
        }
        return bytes.withUnsafeBytes { Checksum.xxh3($0, seed: 0) }
    }
}
