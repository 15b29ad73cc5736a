extension OptionTable {
    /// What `--help` prints.
    public func helpText() -> String {
        var text = "\(program): \(summary)\n\nusage: \(program)"
        text += verbs.isEmpty ? " [options]\n" : " <command> [options]\n"
        if !verbs.isEmpty {
            text += "\ncommands:\n"
            let rows = verbs.map { ([$0.name] + $0.operands).joined(separator: " ") }
            let width = rows.map(\.count).max() ?? 0
            for (row, verb) in zip(rows, verbs) { text += "  \(padded(row, width))  \(verb.summary)\n" }
        }
        text += "\noptions:\n"
        for option in options {
            let flags = [option.aliasFlag, option.flag].compactMap { $0 }.joined(separator: ", ")
            text += "  \(flags) \(option.kind.valueName)\n"
            text += "      \(option.summary); \(option.kind.range); \(defaultClause(option))\n"
        }
        text += "\n"
        for asked in switches {
            let row = [asked.rawValue, asked.valueName].compactMap { $0 }.joined(separator: " ")
            text += "  \(row)\n      \(asked.summary)\n"
        }
        if let environmentPrefix {
            text +=
                "\nEvery option can also be set in the environment (\(environmentPrefix) and its name in capitals,\n"
                + "with _ for dots and dashes) or in a file (--config, or \(configurationVariable) in the\n"
                + "environment). A flag wins over the environment, the environment over the file. Sizes: 64MiB.\n"
                + "Durations: 150ms.\n"
        }
        return text
    }

    /// A configuration file that states every default, with what each option does.
    public func sampleConfiguration() -> String {
        var text = "# \(program): every option at its default.\n"
        var section = ""
        for option in options {
            let parts = SectionedName(option.name)
            text += "\n"
            if parts.section != section {
                section = parts.section
                text += "[\(section)]\n\n"
            }
            text += "# \(option.summary).\n# Accepts \(option.kind.range)."
            text += option.isReloadable ? " Can be changed while running.\n" : "\n"
            if let value = option.defaultValue {
                text += "\(parts.key) = \(ConfigurationFile.quoted(value.text))\n"
            } else {
                text += "# \(parts.key) is \(option.isRequired ? "required" : "unset: " + option.defaultText)\n"
            }
        }
        return text
    }

    /// The rows of the option reference.
    public func referenceTable() -> String {
        var text = "| option | flag | default | accepts | does |\n|---|---|---|---|---|\n"
        for option in options {
            let flags = [option.flag, option.aliasFlag].compactMap { $0 }.map { "`\($0)`" }.joined(separator: ", ")
            let reloadable = option.isReloadable ? " (can be changed while running)" : ""
            let accepts = option.kind.range
            let cells = ["`\(option.name)`", flags, option.defaultText, "\(accepts)", option.summary + reloadable]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text
    }

    var switches: [StandardSwitch] { StandardSwitch.allCases.filter { $0.isUniversal || readsConfiguration } }

    private func defaultClause(_ option: OptionDeclaration) -> String {
        option.isRequired ? "required" : "default \(option.defaultText)"
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
