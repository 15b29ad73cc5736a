/// One row of an option table: everything that the parser, the help, the sample file and the completions need.
public struct OptionDeclaration: Sendable {
    /// The key in a configuration file: lower case, sections parted by dots.
    public var name: String
    public var kind: OptionKind
    /// The value when nothing states one; `nil` leaves the option unset.
    public var defaultValue: OptionValue?
    /// What being unset means, for people: "8 segments", "no limit".
    public var unsetMeaning: String?
    /// True when the program cannot run without a value.
    public var isRequired: Bool
    /// What the option does, in a sentence without a full stop.
    public var summary: String
    /// A second, shorter flag, without dashes.
    public var alias: String?
    /// True when a running program takes a new value over.
    public var isReloadable: Bool

    /// The flag: `--segment-size`.
    public var flag: String { "--" + dashed(name) }

    /// The short flag: `--data`.
    public var aliasFlag: String? { alias.map { "--" + $0 } }

    /// The flag to show where only one is shown.
    public var preferredFlag: String { aliasFlag ?? flag }

    /// The default for people: the value, or what being unset means.
    public var defaultText: String {
        if isRequired { return "required" }
        return defaultValue?.text ?? unsetMeaning ?? "unset"
    }

    private func dashed(_ name: String) -> String { String(name.map { $0 == "." ? "-" : $0 }) }

    func environmentName(prefix: String) -> String {
        prefix + String(name.map { $0 == "." || $0 == "-" ? "_" : $0 }).uppercased()
    }
}

/// A declared option together with the Swift type of its value.
public struct Option<Value>: Sendable {
    public let declaration: OptionDeclaration
    let extract: @Sendable (OptionValue?) -> Value?

    init(
        _ name: String, _ kind: OptionKind, default defaultValue: OptionValue?, unset: String? = nil,
        isRequired: Bool = false, _ summary: String, alias: String?, reloadable: Bool,
        extract: @escaping @Sendable (OptionValue?) -> Value?
    ) {
        declaration = OptionDeclaration(
            name: name, kind: kind, defaultValue: defaultValue, unsetMeaning: unset, isRequired: isRequired,
            summary: summary, alias: alias, isReloadable: reloadable)
        self.extract = extract
    }
}

extension Option where Value == Bool {
    public static func boolean(
        _ name: String, default value: Bool, _ summary: String, alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(name, .boolean, default: .boolean(value), summary, alias: alias, reloadable: reloadable) {
            if case .boolean(let value) = $0 { value } else { nil }
        }
    }
}

extension Option where Value == Int {
    public static func integer(
        _ name: String, default value: Int, in range: ClosedRange<Int>, _ summary: String, alias: String? = nil,
        reloadable: Bool = false
    ) -> Option {
        Option(
            name, .integer(Int64(range.lowerBound)...Int64(range.upperBound)), default: .integer(Int64(value)), summary,
            alias: alias, reloadable: reloadable
        ) { if case .integer(let value) = $0 { Int(value) } else { nil } }
    }
}

extension Option where Value == Int? {
    /// A number that may be left unset, with what that means.
    public static func integer(
        _ name: String, unset: String, in range: ClosedRange<Int>, _ summary: String, alias: String? = nil,
        reloadable: Bool = false
    ) -> Option {
        Option(
            name, .integer(Int64(range.lowerBound)...Int64(range.upperBound)), default: nil, unset: unset, summary,
            alias: alias, reloadable: reloadable
        ) { if case .integer(let value) = $0 { .some(Int(value)) } else { .some(nil) } }
    }
}

extension Option where Value == UInt64 {
    /// Bytes.
    public static func size(
        _ name: String, default bytes: UInt64, in range: ClosedRange<UInt64>, _ summary: String, alias: String? = nil,
        reloadable: Bool = false
    ) -> Option {
        Option(name, .size(range), default: .size(bytes), summary, alias: alias, reloadable: reloadable) {
            if case .size(let bytes) = $0 { bytes } else { nil }
        }
    }

    /// Nanoseconds.
    public static func duration(
        _ name: String, default nanoseconds: UInt64, in range: ClosedRange<UInt64>, _ summary: String,
        alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(name, .duration(range), default: .duration(nanoseconds), summary, alias: alias, reloadable: reloadable) {
            if case .duration(let nanoseconds) = $0 { nanoseconds } else { nil }
        }
    }
}

extension Option where Value == UInt64? {
    /// Bytes, or unset, with what that means.
    public static func size(
        _ name: String, unset: String, in range: ClosedRange<UInt64>, _ summary: String, alias: String? = nil,
        reloadable: Bool = false
    ) -> Option {
        Option(name, .size(range), default: nil, unset: unset, summary, alias: alias, reloadable: reloadable) {
            if case .size(let bytes) = $0 { .some(bytes) } else { .some(nil) }
        }
    }

    /// Nanoseconds, or unset, with what that means.
    public static func duration(
        _ name: String, unset: String, in range: ClosedRange<UInt64>, _ summary: String, alias: String? = nil,
        reloadable: Bool = false
    ) -> Option {
        Option(name, .duration(range), default: nil, unset: unset, summary, alias: alias, reloadable: reloadable) {
            if case .duration(let nanoseconds) = $0 { .some(nanoseconds) } else { .some(nil) }
        }
    }
}

extension Option where Value == String {
    public static func text(
        _ name: String, default value: String, _ summary: String, alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(name, .text, default: .text(value), summary, alias: alias, reloadable: reloadable) {
            if case .text(let value) = $0 { value } else { nil }
        }
    }

    /// A path that must be given.
    public static func requiredPath(_ name: String, _ summary: String, alias: String? = nil) -> Option {
        Option(name, .path, default: nil, isRequired: true, summary, alias: alias, reloadable: false) {
            if case .text(let value) = $0 { value } else { nil }
        }
    }
}

extension Option where Value == String? {
    /// Text that may be left unset, with what that means.
    public static func text(
        _ name: String, unset: String, _ summary: String, alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(name, .text, default: nil, unset: unset, summary, alias: alias, reloadable: reloadable) {
            if case .text(let value) = $0 { .some(value) } else { .some(nil) }
        }
    }

    /// A path that may be left unset, with what that means.
    public static func path(
        _ name: String, unset: String, _ summary: String, alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(name, .path, default: nil, unset: unset, summary, alias: alias, reloadable: reloadable) {
            if case .text(let value) = $0 { .some(value) } else { .some(nil) }
        }
    }
}

extension Option where Value == Endpoint {
    public static func address(
        _ name: String, default value: Endpoint, _ summary: String, alias: String? = nil
    ) -> Option {
        Option(name, .address, default: .address(value), summary, alias: alias, reloadable: false) {
            if case .address(let value) = $0 { value } else { nil }
        }
    }
}

extension Option where Value == Endpoint? {
    /// An address that may be left unset, with what that means.
    public static func address(_ name: String, unset: String, _ summary: String, alias: String? = nil) -> Option {
        Option(name, .address, default: nil, unset: unset, summary, alias: alias, reloadable: false) {
            if case .address(let value) = $0 { .some(value) } else { .some(nil) }
        }
    }
}

extension Option where Value == [Endpoint] {
    /// Addresses; none when unset, with what that means.
    public static func addresses(_ name: String, unset: String, _ summary: String, alias: String? = nil) -> Option {
        Option(name, .addresses, default: nil, unset: unset, summary, alias: alias, reloadable: false) {
            if case .addresses(let value) = $0 { value } else { [] }
        }
    }
}

extension Option where Value == [NamedEndpoint] {
    /// Addresses by name; none when unset, with what that means.
    public static func namedAddresses(
        _ name: String, unset: String, _ summary: String, alias: String? = nil
    ) -> Option {
        Option(name, .namedAddresses, default: nil, unset: unset, summary, alias: alias, reloadable: false) {
            if case .namedAddresses(let value) = $0 { value } else { [] }
        }
    }
}

extension Option where Value: RawRepresentable<String> & CaseIterable & Sendable {
    /// One word of a closed set: the raw values of an enumeration.
    public static func choice(
        _ name: String, default value: Value, _ summary: String, alias: String? = nil, reloadable: Bool = false
    ) -> Option {
        Option(
            name, .choice(Value.allCases.map(\.rawValue)), default: .text(value.rawValue), summary, alias: alias,
            reloadable: reloadable
        ) { if case .text(let word) = $0 { Value(rawValue: word) } else { nil } }
    }
}
