import Foundation
import ProcessTestSupport

/// Several `cordwood-node` processes that are one group, each with a directory of its own.
final class NodeGroup {
    struct Stuck: Error, CustomStringConvertible {
        let description: String
    }

    let folder: TemporaryFolder
    private(set) var nodes: [String: NodeProcess] = [:]
    private let peerPorts: [String: Int]
    private let founders: String
    private let options: [String]

    /// Founds a group and waits until all its nodes serve. The options go to every founder.
    init(_ names: [String] = ["a", "b", "c"], options: [String] = []) throws {
        self.options = options
        folder = try TemporaryFolder()
        let ports = try FreePorts.take(names.count)
        peerPorts = Dictionary(uniqueKeysWithValues: zip(names, ports))
        founders = zip(names, ports).map { "\($0)=127.0.0.1:\($1)" }.joined(separator: ",")
        for name in names { try start(name, waits: false) }
        for node in nodes.values { try node.waitUntilReady() }
    }

    func data(of name: String) -> URL { folder.url.appending(path: name) }

    /// The address at which the others reach a founder.
    func peerAddress(of name: String) -> String { "127.0.0.1:\(peerPorts[name] ?? 0)" }

    /// Starts a founder, for the first time or again.
    func start(_ name: String, waits: Bool = true) throws {
        nodes[name] = try NodeProcess(
            on: data(of: name),
            options: [
                "--node-name", name, "--peer-listen", peerAddress(of: name), "--cluster-founders", founders,
            ] + options, waits: waits)
    }

    /// Starts a node that asks a founder to be taken in.
    @discardableResult
    func start(_ name: String, joining founder: String, options: [String] = [], waits: Bool = true) throws
        -> NodeProcess
    {
        let node = try NodeProcess(
            on: data(of: name),
            options: [
                "--node-name", name, "--peer-listen", "127.0.0.1:0", "--cluster-join", peerAddress(of: founder),
            ] + options, waits: waits)
        nodes[name] = node
        return node
    }

    /// SIGTERM to all nodes, and the end of all.
    func end() throws {
        for name in nodes.keys.sorted() {
            guard let code = nodes.removeValue(forKey: name)?.terminate(), code == 0 else {
                throw Stuck(description: "node \(name) did not end in order")
            }
        }
    }

    /// SIGKILL.
    func kill(_ name: String) { nodes.removeValue(forKey: name)?.kill() }

    func cli(_ name: String, _ words: String...) throws -> String { try cli(name, words) }

    func cli(_ name: String, _ words: [String]) throws -> String {
        guard let node = nodes[name] else { throw Stuck(description: "node \(name) does not run") }
        return try Command(["redis-cli", "-p", "\(node.port)"] + words).output.trimmingCharacters(in: .newlines)
    }

    /// The node that says of itself that it leads.
    func leader(besides excluded: String? = nil) throws -> String {
        var found: String?
        try until("a leader") {
            found = try nodes.keys.sorted().filter { $0 != excluded }.first {
                field("role", of: try cli($0, "CORDWOOD.CLUSTER", "STATUS")) == "leader"
            }
            return found != nil
        }
        return found ?? ""
    }

    /// Appends through a node until it is acknowledged, and returns the version. A retry has the same event id, so
    /// that what was done already is not done twice.
    func append(_ name: String, to stream: String, id: String) throws -> String {
        var version: String?
        try until("an append through \(name)") {
            version = field("stream_version", of: try cli(name, "EAPPEND", stream, "happened", "EVENT_ID", id))
            return version != nil
        }
        return version ?? ""
    }

    func until(_ what: String, seconds: Int = 30, _ condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try !condition() {
            if ContinuousClock.now > deadline {
                let logs = nodes.sorted { $0.key < $1.key }.map { "--- \($0.key)\n\($0.value.errors.suffix(2000))" }
                throw Stuck(description: "waited in vain: \(what)\n" + logs.joined(separator: "\n"))
            }
            usleep(20_000)
        }
    }
}

/// Ports that were free a moment ago: the first configuration of a group names its ports before anybody listens there.
enum FreePorts {
    static func take(_ count: Int) throws -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw NodeGroup.Stuck(description: "no socket: errno \(errno)") }
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let port: UInt16? = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                    guard bind(descriptor, raw, length) == 0, getsockname(descriptor, raw, &length) == 0 else {
                        return nil
                    }
                    return UnsafeRawPointer(raw).load(as: sockaddr_in.self).sin_port.bigEndian
                }
            }
            guard let port else { throw NodeGroup.Stuck(description: "no free port: errno \(errno)") }
            return Int(port)
        }
    }
}
