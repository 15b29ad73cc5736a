internal import CordwoodBase

/// Where a value comes from.
public enum OptionSource: Hashable, Sendable, CustomStringConvertible {
    case defaultValue
    case file(path: String, line: Int)
    case environment(String)
    case flag(String)
    /// Changed while the program ran.
    case runtime

    public var description: String {
        switch self {
        case .defaultValue: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "environment \(name)"
        case .flag(let flag): "flag \(flag)"
        case .runtime: "set while running"
        }
    }
}

/// A value for every option of a table, each with its source.
public struct OptionValues: Sendable {
    /// One option with its value in force.
    public struct Setting: Sendable {
        public var declaration: OptionDeclaration
        /// `nil` when the option is unset.
        public var value: OptionValue?
        public var source: OptionSource
    }

    /// In the table's order.
    public private(set) var settings: [Setting]
    private var positions: [String: Int]

    init(_ settings: [Setting]) {
        self.settings = settings
        positions = [:]
        for (position, setting) in settings.enumerated() { positions[setting.declaration.name] = position }
    }

    /// The setting under a file key, `nil` when there is no such option.
    public func setting(_ name: String) -> Setting? { positions[name].map { settings[$0] } }

    /// The value of a declared option.
    public subscript<Value>(option: Option<Value>) -> Value {
        let name = option.declaration.name
        guard let position = positions[name], let value = option.extract(settings[position].value) else {
            brokenInvariant("option \(name) is not one of this table or has no value")
        }
        return value
    }

    /// Gives a reloadable option a new value, as a running program is told to.
    public mutating func set(_ name: String, to text: String) throws(OptionError) {
        guard let position = positions[name] else { throw OptionError(.configuration, "unknown option '\(name)'") }
        let declaration = settings[position].declaration
        guard declaration.isReloadable else {
            throw OptionError(.configuration, "option '\(name)' can only be set at start: it needs a restart")
        }
        guard let value = declaration.kind.parse(text) else {
            throw OptionError(.configuration, "\(name) = '\(text)': must be \(declaration.kind.range)")
        }
        settings[position].value = value
        settings[position].source = .runtime
    }

    /// Every value with its source, as a configuration file that states the same.
    public func configurationText() -> String {
        var text = ""
        var section = ""
        for setting in settings {
            let parts = SectionedName(setting.declaration.name)
            if parts.section != section {
                section = parts.section
                text += "\n[\(section)]\n"
            }
            if let value = setting.value {
                text += "\(parts.key) = \(ConfigurationFile.quoted(value.text))  # \(setting.source)\n"
            } else {
                text += "# \(parts.key) is unset: \(setting.declaration.defaultText)\n"
            }
        }
        return text
    }
}

/// An option's name as a section and a key within it.
struct SectionedName {
    var section: String
    var key: String

    init(_ name: String) {
        guard let dot = name.firstIndex(of: ".") else {
            section = ""
            key = name
            return
        }
        section = String(name[..<dot])
        key = String(name[name.index(after: dot)...])
    }
}
