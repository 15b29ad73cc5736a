/// A script of commands with expected outcomes: directive, input, a line of four dashes, and what is expected.
///
/// ```
/// file      := { comment | blank | case }
/// case      := directive NL { input-line NL } '----' NL expected
/// directive := command { ' ' arg }            a line that ends in '\' goes on in the next one
/// arg       := key | key=value | key= | key=(v1, v2, ...)
/// expected  := lines up to the first blank one; or, when it begins with '----' again, up to two such lines in a row
/// ```
public struct ScenarioScript: Sendable {
    public struct Argument: Hashable, Sendable {
        public var key: String
        /// Empty for a positional argument.
        public var values: [String]
    }

    public struct Case: Sendable {
        /// Line of the directive, from 1 on.
        public var line: Int
        public var command: String
        public var arguments: [Argument]
        public var input: String
        public var expected: String
    }

    public var cases: [Case] = []

    /// Reads a script; what cannot be read is an error that names the line.
    public init(parsing text: String) throws(ScenarioError) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingBlanksAtEnd() }[...]
        let total = lines.count
        while let first = lines.first {
            if first.isEmpty || first.hasPrefix("#") {
                lines.removeFirst()
                continue
            }
            let line = total - lines.count + 1
            var directive = String(lines.removeFirst())
            while directive.hasSuffix("\\"), let next = lines.popFirst() {
                directive.removeLast()
                directive += " " + next
            }
            guard let separator = lines.firstIndex(of: "----") else {
                throw .unreadable(line: line, "no ---- behind the directive")
            }
            let input = lines[..<separator].joined(separator: "\n").trimmed()
            lines = lines[(separator + 1)...]
            let expected = Self.takeExpected(&lines)
            let words = try Self.split(directive, line: line)
            guard let command = words.first else { throw .unreadable(line: line, "no command") }
            cases.append(
                Case(
                    line: line, command: command,
                    arguments: try words.dropFirst().map { word throws(ScenarioError) in
                        try Self.argument(word, line: line)
                    }, input: input, expected: expected))
        }
    }

    private static func takeExpected(_ lines: inout ArraySlice<String>) -> String {
        var taken: [String] = []
        if lines.first == "----" {
            lines.removeFirst()
            while let line = lines.popFirst() {
                if line == "----", lines.first == "----" {
                    lines.removeFirst()
                    break
                }
                taken.append(line)
            }
        } else {
            while let line = lines.popFirst(), !line.isEmpty { taken.append(line) }
        }
        return taken.joined(separator: "\n")
    }

    /// Splits at blanks outside parentheses.
    private static func split(_ directive: String, line: Int) throws(ScenarioError) -> [String] {
        var words: [String] = []
        var word = ""
        var depth = 0
        for character in directive {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if depth < 0 { throw .unreadable(line: line, "unbalanced parentheses") }
            if character == " " && depth == 0 {
                if !word.isEmpty { words.append(word) }
                word = ""
            } else {
                word.append(character)
            }
        }
        if depth != 0 { throw .unreadable(line: line, "unbalanced parentheses") }
        if !word.isEmpty { words.append(word) }
        return words
    }

    private static func argument(_ word: String, line: Int) throws(ScenarioError) -> Argument {
        guard let equals = word.firstIndex(of: "=") else { return Argument(key: word, values: []) }
        let key = String(word[..<equals])
        let value = word[word.index(after: equals)...]
        if key.isEmpty { throw .unreadable(line: line, "an argument without a key") }
        guard value.hasPrefix("("), value.hasSuffix(")") else { return Argument(key: key, values: [String(value)]) }
        var values: [String] = []
        var current = ""
        var depth = 0
        for character in value.dropFirst().dropLast() {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == "," && depth == 0 {
                values.append(current.trimmed())
                current = ""
            } else {
                current.append(character)
            }
        }
        if !(values.isEmpty && current.trimmed().isEmpty) { values.append(current.trimmed()) }
        return Argument(key: key, values: values)
    }
}

/// Why a script cannot be run at all.
public enum ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(line: Int, String)
    case unknownCommand(line: Int, String)
    case badArgument(line: Int, String)

    public var description: String {
        switch self {
        case .unreadable(let line, let what): "line \(line): \(what)"
        case .unknownCommand(let line, let command): "line \(line): unknown command \(command)"
        case .badArgument(let line, let what): "line \(line): \(what)"
        }
    }
}

extension ScenarioScript.Case {
    /// The positional arguments, in order.
    var positionals: [String] { arguments.filter(\.values.isEmpty).map(\.key) }

    func values(_ key: String) -> [String]? { arguments.first { $0.key == key && !$0.values.isEmpty }?.values }

    func value(_ key: String) -> String? { values(key)?.first }

    func flag(_ key: String) throws(ScenarioError) -> Bool {
        guard let value = value(key) else { return false }
        guard let flag = Bool(value) else { throw bad("\(key)=\(value) is no truth value") }
        return flag
    }

    func number(_ text: String) throws(ScenarioError) -> UInt64 {
        guard let number = UInt64(text) else { throw bad("\(text) is no number") }
        return number
    }

    func positionalNumber(_ place: Int) throws(ScenarioError) -> UInt64 {
        guard place < positionals.count else { throw bad("an argument is missing") }
        return try number(positionals[place])
    }

    func bad(_ what: String) -> ScenarioError { .badArgument(line: line, "\(command): \(what)") }
}

extension StringProtocol {
    func trimmed() -> String {
        String(drop { $0.isWhitespace }).trimmingBlanksAtEnd()
    }

    func trimmingBlanksAtEnd() -> String {
        var end = endIndex
        while end > startIndex, self[index(before: end)].isWhitespace { end = index(before: end) }
        return String(self[..<end])
    }
}
