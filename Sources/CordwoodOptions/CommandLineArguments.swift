/// A command line, split into switches, flags, a verb and operands; values are not looked at yet.
///
/// A flag is `--name value` or `--name=value`; a boolean one may stand alone and then means yes. `--` ends the flags.
struct CommandLineArguments {
    var switches: [StandardSwitch: String] = [:]
    /// By option name: the flag as written, and its text.
    var flags: [String: (flag: String, value: String)] = [:]
    var verb: String?
    var operands: [String] = []

    init(_ arguments: [String], of table: OptionTable) throws(OptionError) {
        var byFlag: [String: OptionDeclaration] = [:]
        for option in table.options {
            byFlag[option.flag] = option
            if let alias = option.aliasFlag { byFlag[alias] = option }
        }
        var words: [String] = []
        var cursor = 0
        while cursor < arguments.count {
            let argument = arguments[cursor]
            cursor += 1
            if argument == "--" {
                words += arguments[cursor...]
                break
            }
            guard argument.hasPrefix("-"), argument != "-" else {
                words.append(argument)
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            var value = parts.count == 2 ? String(parts[1]) : nil
            if let asked = CommandLineArguments.standardSwitch(name, table) {
                if asked.valueName == nil, value != nil { throw OptionError(.usage, "\(name) takes no value") }
                if asked.valueName != nil, value == nil { value = try next(name, arguments, &cursor) }
                guard switches.updateValue(value ?? "", forKey: asked) == nil else { throw repeated(name) }
                continue
            }
            guard let option = byFlag[name] else {
                let known = Array(byFlag.keys) + StandardSwitch.allCases.map(\.rawValue)
                throw OptionError(.usage, "unknown flag \(name)" + suggestion(name, known))
            }
            if value == nil {
                if option.kind == .boolean {
                    value = "yes"
                    if cursor < arguments.count, OptionKind.truth(arguments[cursor]) != nil {
                        value = arguments[cursor]
                        cursor += 1
                    }
                } else {
                    value = try next(name, arguments, &cursor)
                }
            }
            guard flags.updateValue((name, value ?? ""), forKey: option.name) == nil else { throw repeated(name) }
        }
        try take(words, of: table)
    }

    private mutating func take(_ words: [String], of table: OptionTable) throws(OptionError) {
        guard let first = words.first else { return }
        if first == "help" || first == "version" {
            verb = first
            operands = Array(words.dropFirst())
            return
        }
        guard let known = table.verbs.first(where: { $0.name == first }) else {
            let names = table.verbs.map(\.name) + ["help", "version"]
            throw OptionError(
                .usage,
                (table.verbs.isEmpty ? "unexpected argument '\(first)'" : "unknown command '\(first)'")
                    + suggestion(first, names))
        }
        verb = first
        operands = Array(words.dropFirst())
        guard known.operandCount.contains(operands.count) else {
            throw OptionError(
                .usage,
                "\(first) takes \(known.operands.isEmpty ? "no operands" : known.operands.joined(separator: " "))")
        }
    }

    private static func standardSwitch(_ name: String, _ table: OptionTable) -> StandardSwitch? {
        let asked = name == "-h" ? .help : StandardSwitch(rawValue: name)
        return asked.flatMap { $0.isUniversal || table.readsConfiguration ? $0 : nil }
    }

    private func next(_ name: String, _ arguments: [String], _ cursor: inout Int) throws(OptionError) -> String {
        guard cursor < arguments.count else { throw OptionError(.usage, "\(name) needs a value") }
        defer { cursor += 1 }
        return arguments[cursor]
    }

    private func repeated(_ name: String) -> OptionError { OptionError(.usage, "\(name) is given twice") }
}
