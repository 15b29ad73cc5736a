internal import CordwoodBase

/// The options of one program, declared once: the command line, the environment, the configuration file, the help, the
/// sample file and the shell completions all come from this table.
public struct OptionTable: Sendable {
    /// A sub-command, with the names of the operands that it takes.
    public struct Verb: Sendable {
        public var name: String
        /// Shown in help: "DIR", "[PARTITION]". One in brackets may be left out; one that ends in "..." repeats.
        public var operands: [String]
        public var summary: String

        public init(_ name: String, operands: [String] = [], _ summary: String) {
            self.name = name
            self.operands = operands
            self.summary = summary
        }

        var operandCount: ClosedRange<Int> {
            let required = operands.filter { !$0.hasPrefix("[") }.count
            return required...(operands.contains { $0.contains("...") } ? Int.max : operands.count)
        }
    }

    /// Something that must hold between options.
    public struct Rule: Sendable {
        /// What is wrong, `nil` when nothing is.
        let violation: @Sendable (OptionValues) -> String?

        public init(_ violation: @escaping @Sendable (OptionValues) -> String?) { self.violation = violation }
    }

    public var program: String
    /// What the program is, in one line.
    public var summary: String
    /// The program's version, as `version` prints it.
    public var version: String
    public var verbs: [Verb]
    public var options: [OptionDeclaration]
    public var rules: [Rule]
    /// Prefix of environment names; `nil` when the program reads no options from the environment or a file.
    public var environmentPrefix: String?

    public init(
        program: String, summary: String, version: String, verbs: [Verb] = [], options: [OptionDeclaration],
        rules: [Rule] = [], environmentPrefix: String? = nil
    ) {
        self.program = program
        self.summary = summary
        self.version = version
        self.verbs = verbs
        self.options = options
        self.rules = rules
        self.environmentPrefix = environmentPrefix
        var flags: Set<String> = Set(StandardSwitch.allCases.map(\.rawValue))
        for option in options {
            for flag in [option.flag, option.aliasFlag].compactMap({ $0 }) {
                invariant(flags.insert(flag).inserted, "two options of \(program) have the flag \(flag)")
            }
        }
    }

    /// Every option at its default. Required options are unset.
    public var defaults: OptionValues {
        OptionValues(
            options.map { OptionValues.Setting(declaration: $0, value: $0.defaultValue, source: .defaultValue) })
    }

    var readsConfiguration: Bool { environmentPrefix != nil }

    var configurationVariable: String { (environmentPrefix ?? "") + "CONFIG" }
}

/// What every program can be asked.
enum StandardSwitch: String, CaseIterable {
    case help = "--help"
    case version = "--version"
    case generate = "--generate"
    case config = "--config"
    case check = "--check"
    case printConfig = "--print-config"

    /// False for those that only programs with a configuration have.
    var isUniversal: Bool { self == .help || self == .version || self == .generate }

    var valueName: String? {
        switch self {
        case .generate: GeneratedText.allCases.map(\.rawValue).joined(separator: "|")
        case .config: "FILE"
        case .help, .version, .check, .printConfig: nil
        }
    }

    var summary: String {
        switch self {
        case .help: "print this text"
        case .version: "print the version"
        case .generate: "print a completion script, the sample configuration or the option reference"
        case .config: "read options from a file"
        case .check: "validate the configuration and end"
        case .printConfig: "print every option with its value and source, and end"
        }
    }
}

/// What `--generate` can print.
public enum GeneratedText: String, CaseIterable, Sendable {
    case bash
    case zsh
    case fish
    case sample
    case markdown
}

/// What the program was asked to do.
public enum Invocation: Sendable {
    case help
    case version
    case generate(GeneratedText)
    case check(OptionValues)
    case printConfiguration(OptionValues)
    /// The verb is `nil` when the program has none or was called without one.
    case run(verb: String?, operands: [String], OptionValues)
}
