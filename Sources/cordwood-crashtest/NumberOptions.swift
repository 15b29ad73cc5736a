/// Flags of the form `--name N`, each with a default; the rest are plain words.
struct NumberOptions {
    private(set) var numbers: [String: Int]
    private(set) var words: [String] = []

    /// `nil` when a flag is unknown, or its value is no number from 0 on.
    init?(_ arguments: [String], defaults: [String: Int]) {
        numbers = defaults
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                words.append(argument)
                continue
            }
            let name = String(argument.dropFirst(2))
            guard defaults[name] != nil, let value = rest.popFirst().flatMap({ Int($0) }), value >= 0 else {
                return nil
            }
            numbers[name] = value
        }
    }

    subscript(name: String) -> Int { numbers[name] ?? 0 }
}
