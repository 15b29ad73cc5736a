/// A configuration file: `key = value` lines under `[section]` headings.
///
/// A key under a heading is the heading, a dot and the key; a key may also be written whole above the first heading.
/// `#` starts a comment at the start of a line or behind a blank. A value that holds `#`, quotes or outer blanks stands
/// in double quotes, where `\"` and `\\` are escapes. Anything else is refused with its line, and so is a key that is
/// stated twice.
struct ConfigurationFile {
    struct Line {
        var number: Int
        var name: String
        var value: String
    }

    var lines: [Line] = []

    init(_ text: String, path: String) throws(OptionError) {
        var section = ""
        var firstLines: [String: Int] = [:]
        let rows = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        for (position, row) in rows.enumerated() {
            let place = "\(path):\(position + 1)"
            let row = row.trimmed
            if row.isEmpty || row.hasPrefix("#") { continue }
            if row.hasPrefix("[") {
                section = try ConfigurationFile.heading(row, place)
                continue
            }
            guard let equals = row.firstIndex(of: "=") else {
                throw OptionError(.configuration, "\(place): expected 'key = value' or '[section]', found '\(row)'")
            }
            let key = String(row[..<equals].trimmed)
            guard ConfigurationFile.isKey(key) else {
                throw OptionError(.configuration, "\(place): '\(key)' is no option name")
            }
            let name = section.isEmpty ? key : section + "." + key
            let value = try ConfigurationFile.value(row[row.index(after: equals)...].trimmed, place)
            if let first = firstLines[name] {
                throw OptionError(.configuration, "\(place): option '\(name)' is already stated in line \(first)")
            }
            firstLines[name] = position + 1
            lines.append(Line(number: position + 1, name: name, value: value))
        }
    }

    /// The value as a file states it: in quotes where it needs them.
    static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty && !value.contains("#") && !value.contains("\"") && !value.contains("\\")
            && value[...].trimmed == value
        if isPlain { return value }
        return "\"" + value.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
    }

    private static func heading(_ row: Substring, _ place: String) throws(OptionError) -> String {
        guard let end = row.firstIndex(of: "]") else {
            throw OptionError(.configuration, "\(place): '[' without ']'")
        }
        let name = String(row[row.index(after: row.startIndex)..<end].trimmed)
        let rest = row[row.index(after: end)...].trimmed
        guard isKey(name), rest.isEmpty || rest.hasPrefix("#") else {
            throw OptionError(.configuration, "\(place): '\(row)' is no section heading")
        }
        return name
    }

    private static func isKey(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x2E
            }
    }

    private static func value(_ text: Substring, _ place: String) throws(OptionError) -> String {
        guard text.hasPrefix("\"") else {
            var end = text.startIndex
            while end < text.endIndex {
                let isComment =
                    text[end] == "#" && (end == text.startIndex || text[text.index(before: end)].isWhitespace)
                if isComment { break }
                end = text.index(after: end)
            }
            return String(text[..<end].trimmed)
        }
        var value = ""
        var isEscaped = false
        var cursor = text.index(after: text.startIndex)
        while cursor < text.endIndex {
            let character = text[cursor]
            cursor = text.index(after: cursor)
            if isEscaped {
                guard character == "\"" || character == "\\" else {
                    throw OptionError(.configuration, "\(place): '\\\(character)' is no escape")
                }
                value.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                let rest = text[cursor...].trimmed
                guard rest.isEmpty || rest.hasPrefix("#") else {
                    throw OptionError(.configuration, "\(place): '\(rest)' follows the closing quote")
                }
                return value
            } else {
                value.append(character)
            }
        }
        throw OptionError(.configuration, "\(place): the quote is not closed")
    }
}

extension Substring {
    var trimmed: Substring {
        var rest = self.drop { $0.isWhitespace }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return rest
    }
}
