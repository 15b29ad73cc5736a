import CordwoodBase
import CordwoodOptions
import CordwoodRESP

/// The commands that describe the server: COMMAND, CONFIG, INFO.
extension Dispatcher {
    // MARK: COMMAND

    func describeCommands(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        guard request.count > 1 else {
            connection.output.array(CommandTable.descriptions.count)
            for description in CommandTable.descriptions { describe(description, to: &connection.output) }
            return
        }
        let name = request[1]
        switch true {
        case name.matches("COUNT") where request.count == 2:
            connection.output.integer(CommandTable.descriptions.count)
        case name.matches("DOCS"): documentation(request, on: connection)
        case name.matches("INFO"): commandInfo(request, on: connection)
        case name.matches("LIST") where request.count == 2:
            connection.output.array(CommandTable.descriptions.count)
            for description in CommandTable.descriptions { connection.output.bulk(description.name.lowercased()) }
        case name.matches("GETKEYS"): try keys(request, on: connection)
        case name.matches("HELP"):
            lines(
                [
                    "COMMAND: every command", "COUNT, LIST: how many there are, and their names",
                    "DOCS [name ...], INFO [name ...]: what they do and take",
                    "GETKEYS command [argument ...]: its keys",
                ], on: connection)
        default: throw unknownSubcommand(name, of: "COMMAND")
        }
    }

    private func describe(_ description: CommandDescription, to output: inout ReplyBuffer) {
        let hasKey = description.keyPosition > 0
        output.array(10)
        output.bulk(description.name.lowercased())
        output.integer(description.arity)
        let flags = description.flags.names
        output.set(flags.count)
        for flag in flags { output.simple(flag) }
        output.integer(description.keyPosition)
        output.integer(description.keyPosition)
        output.integer(hasKey ? 1 : 0)
        // Access categories, then tips, key specifications and subcommands, of which there are none.
        output.set(1)
        output.simple("@\(description.group.rawValue)")
        for _ in 0..<3 { output.array(0) }
    }

    private func commandInfo(_ request: Request, on connection: ClientConnection) {
        if request.count == 2 {
            connection.output.array(CommandTable.descriptions.count)
            for description in CommandTable.descriptions { describe(description, to: &connection.output) }
            return
        }
        connection.output.array(request.count - 2)
        for position in 2..<request.count {
            if let known = server.table.find(request[position]) {
                describe(server.table.description(of: known), to: &connection.output)
            } else {
                connection.output.null()
            }
        }
    }

    private func documentation(_ request: Request, on connection: ClientConnection) {
        var found = CommandTable.descriptions
        if request.count > 2 {
            found = (2..<request.count).compactMap { server.table.find(request[$0]) }
                .map { server.table.description(of: $0) }
        }
        connection.output.map(found.count)
        for description in found {
            connection.output.bulk(description.name.lowercased())
            connection.output.map(4)
            for (key, value) in [
                ("summary", description.summary), ("since", "1.0.0"), ("group", description.group.rawValue),
                ("syntax", description.syntax),
            ] {
                connection.output.bulk(key)
                connection.output.bulk(value)
            }
        }
    }

    private func keys(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        guard request.count > 2, let known = server.table.find(request[2]) else {
            throw CommandError(.generic, "Invalid command specified")
        }
        let description = server.table.description(of: known)
        guard description.accepts(argumentCount: request.count - 2) else {
            throw CommandError(.generic, "Invalid number of arguments specified for command")
        }
        guard description.keyPosition > 0 else {
            throw CommandError(.generic, "The command has no key arguments")
        }
        connection.output.array(1)
        connection.output.bulk(request[2 + description.keyPosition])
    }

    // MARK: CONFIG

    /// What Redis tools ask for and Cordwood has no option for.
    private static let redisSettings = [("save", ""), ("appendonly", "yes"), ("maxmemory", "0")]

    func config(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        let name = request[1]
        switch true {
        case name.matches("GET") where request.count > 2: configGet(request, on: connection)
        case name.matches("SET") where request.count == 4:
            do throws(OptionError) {
                try server.setOption(request[2].text, to: request[3].text)
            } catch {
                throw CommandError(.generic, "CONFIG SET failed: \(error)")
            }
            connection.output.simple("OK")
        case name.matches("RESETSTAT") where request.count == 2:
            server.statistics.reset()
            connection.output.simple("OK")
        case name.matches("HELP"):
            lines(
                [
                    "GET pattern [pattern ...]: options that match",
                    "SET option value: changes an option that can be changed",
                    "RESETSTAT: counters of INFO begin again",
                ], on: connection)
        case name.matches("GET"), name.matches("SET"), name.matches("RESETSTAT"):
            throw CommandError(.generic, "wrong number of arguments for 'config|\(name.text.lowercased())' command")
        default: throw unknownSubcommand(name, of: "CONFIG")
        }
    }

    private func configGet(_ request: Request, on connection: ClientConnection) {
        let patterns = (2..<request.count).map { GlobPattern(request[$0].text.lowercased()) }
        var settings = Dispatcher.redisSettings
        for setting in server.options.settings {
            settings.append((setting.declaration.name, setting.value?.text ?? ""))
        }
        let found = settings.filter { setting in patterns.contains { $0.matches(setting.0) } }
        connection.output.map(found.count)
        for (name, value) in found {
            connection.output.bulk(name)
            connection.output.bulk(value)
        }
    }

    // MARK: INFO

    func info(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        let names = (1..<max(request.count, 1)).map { request[$0].text.lowercased() }
        let text = InfoReport(server: server).text(sections: names)
        connection.output.verbatim(text)
    }
}
