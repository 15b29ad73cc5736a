/// Flags of the form `--name value`, each with a default, some of which may be given several times; the rest are plain
/// words.
public struct Flags {
    private var values: [String: [String]] = [:]
    private let defaults: [String: String]
    public private(set) var words: [String] = []

    /// `nil` when a flag is unknown or lacks its value.
    public init?(_ arguments: [String], defaults: [String: String]) {
        self.defaults = defaults
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                words.append(argument)
                continue
            }
            let name = String(argument.dropFirst(2))
            guard defaults[name] != nil, let value = rest.popFirst() else { return nil }
            values[name, default: []].append(value)
        }
    }

    public subscript(name: String) -> String { values[name]?.last ?? defaults[name] ?? "" }

    /// Every value that was given; none when the flag was not.
    public func all(_ name: String) -> [String] { values[name] ?? [] }

    /// A number from 0 on.
    public func number(_ name: String) -> Int? { Int(self[name]).flatMap { $0 >= 0 ? $0 : nil } }
}
