extension OptionTable {
    /// What the arguments ask for, with options resolved in the order flag, environment, file, default. The arguments
    /// are without the program's name; `readFile` gives the text of the file that `--config` names.
    public func invocation(
        arguments: [String], environment: [String: String] = [:],
        readFile: (String) throws -> String = { path in
            throw OptionError(.configuration, "\(path): this program reads no files")
        }
    ) throws(OptionError) -> Invocation {
        let line = try CommandLineArguments(arguments, of: self)
        if line.switches[.help] != nil || line.verb == "help" && line.switches[.generate] == nil { return .help }
        if line.switches[.version] != nil || line.verb == "version" { return .version }
        if let word = line.switches[.generate] {
            guard let text = GeneratedText(rawValue: word) else {
                let words = GeneratedText.allCases.map(\.rawValue)
                throw OptionError(.usage, "--generate = '\(word)': must be \(OptionKind.choice(words).range)")
            }
            return .generate(text)
        }
        let values = try resolve(line, environment, readFile)
        if line.switches[.printConfig] != nil { return .printConfiguration(values) }
        if line.switches[.check] != nil { return .check(values) }
        return .run(verb: line.verb, operands: line.operands, values)
    }

    private func resolve(
        _ line: CommandLineArguments, _ environment: [String: String], _ readFile: (String) throws -> String
    ) throws(OptionError) -> OptionValues {
        let file = try fileSettings(line, environment, readFile)
        let variables = try environmentSettings(environment)
        var settings: [OptionValues.Setting] = []
        for option in options {
            let stated: (text: String, source: OptionSource)? =
                line.flags[option.name].map { ($0.value, .flag($0.flag)) } ?? variables[option.name]
                ?? file[option.name]
            guard let stated else {
                settings.append(.init(declaration: option, value: option.defaultValue, source: .defaultValue))
                continue
            }
            settings.append(
                .init(declaration: option, value: try parse(option, stated.text, stated.source), source: stated.source))
        }
        let values = OptionValues(settings)
        for option in options where option.isRequired && values.setting(option.name)?.value == nil {
            throw OptionError(.usage, "\(option.name) is required: \(option.preferredFlag) \(option.kind.valueName)")
        }
        for rule in rules {
            if let violation = rule.violation(values) { throw OptionError(.configuration, violation) }
        }
        return values
    }

    private func parse(
        _ option: OptionDeclaration, _ text: String, _ source: OptionSource
    ) throws(OptionError) -> OptionValue {
        if let value = option.kind.parse(text) { return value }
        var origin = OptionError.Origin.configuration
        if case .flag = source { origin = .usage }
        throw OptionError(origin, "\(option.name) = '\(text)' (\(source)): must be \(option.kind.range)")
    }

    private func environmentSettings(
        _ environment: [String: String]
    ) throws(OptionError) -> [String: (text: String, source: OptionSource)] {
        guard let environmentPrefix else { return [:] }
        var names: [String: String] = [:]
        for option in options { names[option.environmentName(prefix: environmentPrefix)] = option.name }
        var found: [String: (text: String, source: OptionSource)] = [:]
        for variable in environment.keys.sorted() where variable.hasPrefix(environmentPrefix) {
            if variable == configurationVariable { continue }
            guard let name = names[variable] else {
                throw OptionError(
                    .configuration, "environment \(variable): no such option" + suggestion(variable, names.keys))
            }
            found[name] = (environment[variable] ?? "", .environment(variable))
        }
        return found
    }

    private func fileSettings(
        _ line: CommandLineArguments, _ environment: [String: String], _ readFile: (String) throws -> String
    ) throws(OptionError) -> [String: (text: String, source: OptionSource)] {
        guard readsConfiguration, let path = line.switches[.config] ?? environment[configurationVariable] else {
            return [:]
        }
        let text: String
        do { text = try readFile(path) } catch {
            throw OptionError(.configuration, "cannot read the configuration file \(path): \(error)")
        }
        let known = Set(options.map(\.name))
        var found: [String: (text: String, source: OptionSource)] = [:]
        for line in try ConfigurationFile(text, path: path).lines {
            guard known.contains(line.name) else {
                throw OptionError(
                    .configuration,
                    "\(path):\(line.number): unknown option '\(line.name)'" + suggestion(line.name, known))
            }
            found[line.name] = (line.value, .file(path: path, line: line.number))
        }
        return found
    }
}

/// ", did you mean x?", when one of the names is near what was written.
func suggestion(_ written: String, _ names: some Sequence<String>) -> String {
    let near = max(2, written.count / 5)
    // Texts whose lengths differ by more are no nearer than that.
    let candidates = names.filter { abs($0.utf8.count - written.utf8.count) <= near }
    let nearest = candidates.map { ($0, editDistance($0, written)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
    guard let (name, distance) = nearest, distance <= near else { return "" }
    return ", did you mean \(name)?"
}

/// Insertions, deletions and replacements that turn one text into the other.
private func editDistance(_ left: String, _ right: String) -> Int {
    let right = Array(right.utf8)
    var row = Array(0...right.count)
    for (number, byte) in left.utf8.enumerated() {
        var diagonal = row[0]
        row[0] = number + 1
        for position in right.indices {
            let replaced = diagonal + (byte == right[position] ? 0 : 1)
            diagonal = row[position + 1]
            row[position + 1] = min(replaced, row[position] + 1, diagonal + 1)
        }
    }
    return row[right.count]
}
