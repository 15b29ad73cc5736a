import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP
import CordwoodRaft

/// The commands about the connection itself: greeting, names, versions, farewell.
extension Dispatcher {
    /// Longest name of a connection or client library.
    private static let maxNameBytes = 256

    func ping(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        switch request.count {
        case 1: connection.output.simple("PONG")
        case 2: connection.output.bulk(request[1])
        default: throw CommandError(.generic, "wrong number of arguments for 'ping' command")
        }
    }

    func hello(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var version = connection.output.version
        var name = connection.name
        var arguments = ArgumentCursor(request)
        if !arguments.isAtEnd {
            let word = try arguments.next("protocol version")
            guard let number = decimal(word), let asked = ProtocolVersion(rawValue: Int(clamping: number)) else {
                throw CommandError(.noProtocol, "unsupported protocol version")
            }
            version = asked
        }
        while !arguments.isAtEnd {
            if arguments.take("AUTH") {
                _ = try arguments.next("user name")
                _ = try arguments.next("password")
                throw CommandError(.generic, Dispatcher.noUsers)
            } else if arguments.take("SETNAME") {
                name = try connectionName(try arguments.next("name"))
            } else {
                throw .unexpected(try arguments.next(""), expected: "AUTH or SETNAME")
            }
        }
        connection.output.version = version
        connection.name = name
        describeNode(to: connection)
    }

    private func describeNode(to connection: ClientConnection) {
        let status = server.node.status
        connection.output.map(9)
        connection.output.bulk("server")
        connection.output.bulk("cordwood")
        connection.output.bulk("version")
        connection.output.bulk(server.process.version)
        connection.output.bulk("proto")
        connection.output.integer(connection.output.version.rawValue)
        connection.output.bulk("id")
        connection.output.integer(connection.number)
        connection.output.bulk("mode")
        connection.output.bulk(server.settings.routing == .moved ? "cluster" : "standalone")
        connection.output.bulk("role")
        connection.output.bulk(status.role == .leader ? "master" : "replica")
        connection.output.bulk("modules")
        connection.output.array(0)
        connection.output.bulk("peer_id")
        connection.output.bulk(status.name)
        connection.output.bulk("num_partitions")
        connection.output.integer(server.partitionCount)
    }

    private static let noUsers = "AUTH called without any password configured for the default user"

    func authenticate(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        guard request.count <= 3 else { throw CommandError(.generic, "wrong number of arguments for 'auth' command") }
        throw CommandError(.generic, Dispatcher.noUsers)
    }

    func quit(on connection: ClientConnection) {
        connection.output.simple("OK")
        connection.end()
    }

    func reset(on connection: ClientConnection) {
        connection.name = ""
        connection.readsLocally = false
        connection.readMode = server.settings.readMode
        connection.output.version = .resp2
        connection.output.simple("RESET")
    }

    func select(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        guard decimal(request[1]) == 0 else { throw CommandError(.generic, "DB index is out of range") }
        connection.output.simple("OK")
    }

    func readsLocally(_ value: Bool, on connection: ClientConnection) {
        connection.readsLocally = value
        connection.output.simple("OK")
    }

    func acl(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        guard request.count == 2, request[1].matches("WHOAMI") else {
            throw unknownSubcommand(request[1], of: "ACL")
        }
        connection.output.bulk("default")
    }

    func time(on connection: ClientConnection) {
        let microseconds = server.seams.clock.wallMicroseconds
        connection.output.array(2)
        connection.output.bulk(String(microseconds / 1_000_000))
        connection.output.bulk(String(microseconds % 1_000_000))
    }

    // MARK: CLIENT

    func client(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        let name = request[1]
        switch true {
        case name.matches("SETNAME"):
            connection.name = try connectionName(try arguments.next("name"))
            try arguments.end()
            connection.output.simple("OK")
        case name.matches("GETNAME"):
            try arguments.end()
            if connection.name.isEmpty { connection.output.null() } else { connection.output.bulk(connection.name) }
        case name.matches("ID"):
            try arguments.end()
            connection.output.integer(connection.number)
        case name.matches("INFO"):
            try arguments.end()
            let line = describe(connection) + "\n"
            connection.output.verbatim(line)
        case name.matches("LIST"): try listClients(&arguments, on: connection)
        case name.matches("KILL"): try killClient(&arguments, on: connection)
        case name.matches("SETINFO"):
            try setLibrary(&arguments, of: connection)
            connection.output.simple("OK")
        case name.matches("NO-EVICT"), name.matches("NO-TOUCH"):
            guard arguments.take("ON") || arguments.take("OFF") else {
                throw .unexpected(try arguments.next("ON or OFF"), expected: "ON or OFF")
            }
            try arguments.end()
            connection.output.simple("OK")
        case name.matches("REPLY"):
            guard arguments.take("ON") else { throw .unexpected(try arguments.next("ON"), expected: "ON") }
            try arguments.end()
            connection.output.simple("OK")
        case name.matches("TRACKING"):
            guard arguments.take("OFF") else { throw .unexpected(try arguments.next("OFF"), expected: "OFF") }
            try arguments.end()
            connection.output.simple("OK")
        case name.matches("HELP"):
            lines(Dispatcher.clientHelp, on: connection)
        default: throw unknownSubcommand(name, of: "CLIENT")
        }
    }

    private static let clientHelp = [
        "CLIENT <subcommand> [argument ...]", "GETNAME, SETNAME name: the connection's name", "ID: its number",
        "INFO, LIST [ID number ...]: what connections are doing", "KILL ID number: closes a connection",
        "SETINFO LIB-NAME|LIB-VER text: the client library's name and version",
        "NO-EVICT ON|OFF, NO-TOUCH ON|OFF, REPLY ON, TRACKING OFF: accepted",
    ]

    private func listClients(_ arguments: inout ArgumentCursor, on connection: ClientConnection) throws(CommandError) {
        var wanted: [UInt64] = []
        if arguments.take("ID") {
            repeat { wanted.append(try arguments.number("connection number")) } while !arguments.isAtEnd
        }
        try arguments.end(expected: "ID")
        var text = ""
        for client in server.clients.ordered where wanted.isEmpty || wanted.contains(client.number) {
            text += describe(client) + "\n"
        }
        connection.output.verbatim(text)
    }

    private func killClient(_ arguments: inout ArgumentCursor, on connection: ClientConnection) throws(CommandError) {
        guard arguments.take("ID") else { throw .unexpected(try arguments.next("ID"), expected: "ID") }
        let number = try arguments.number("connection number")
        try arguments.end()
        guard let client = server.clients.byNumber[number] else { return connection.output.integer(0) }
        if client === connection { client.end() } else { client.close() }
        connection.output.integer(1)
    }

    private func setLibrary(_ arguments: inout ArgumentCursor, of connection: ClientConnection) throws(CommandError) {
        if arguments.take("LIB-NAME") {
            connection.libraryName = try connectionName(try arguments.next("library name"))
        } else if arguments.take("LIB-VER") {
            connection.libraryVersion = try connectionName(try arguments.next("library version"))
        } else {
            let expected: StaticString = "LIB-NAME or LIB-VER"
            throw .unexpected(try arguments.next(expected), expected: "\(expected)")
        }
        try arguments.end()
    }

    private func connectionName(_ bytes: UnsafeRawBufferPointer) throws(CommandError) -> String {
        guard bytes.count <= Dispatcher.maxNameBytes, bytes.allSatisfy({ (0x21..<0x7F).contains($0) }) else {
            throw CommandError(.generic, "Client names cannot contain spaces, newlines or special characters.")
        }
        return bytes.text
    }

    private func describe(_ client: ClientConnection) -> String {
        let now = server.seams.clock.monotonicNanoseconds
        let command = client.lastCommand.map { server.table.description(of: $0).name.lowercased() } ?? "NULL"
        let local = server.address.map { "\($0)" } ?? ""
        return "id=\(client.number) addr=\(client.socket.peerAddress) laddr=\(local) name=\(client.name)"
            + " age=\((now - client.connectedNanoseconds) / 1_000_000_000)"
            + " idle=\((now - min(now, client.lastRequestNanoseconds)) / 1_000_000_000) flags=N db=0 sub=0 psub=0"
            + " multi=-1 qbuf=\(client.input.count) qbuf-free=\(client.input.capacityBytes - client.input.count)"
            + " obl=\(client.output.count) oll=\(client.appends.count) tot-mem=\(client.memoryBytes) events=r"
            + " cmd=\(command) user=default redir=-1 resp=\(client.output.version.rawValue)"
            + " lib-name=\(client.libraryName) lib-ver=\(client.libraryVersion)"
    }

    /// An array of simple strings, as help texts are replied.
    func lines(_ texts: [String], on connection: ClientConnection) {
        connection.output.array(texts.count)
        for text in texts { connection.output.simple(text) }
    }
}
