/// Rows of data on standard output, as text or as JSON lines; notes for the operator on standard error.
final class Output {
    enum Value: Equatable {
        case text(String)
        case number(UInt64)
        case flag(Bool)
        case absent
    }

    typealias Row = [(name: String, value: Value)]

    private let isJSON: Bool
    private let write: (String) -> Void
    private let noteSink: (String) -> Void

    init(isJSON: Bool, write: @escaping (String) -> Void, note: @escaping (String) -> Void) {
        self.isJSON = isJSON
        self.write = write
        noteSink = note
    }

    /// Says something that is no data.
    func note(_ message: String) { noteSink(message) }

    /// Rows with equal columns: aligned below their names, or one JSON object each with `kind` first.
    func table(_ kind: String, _ rows: [Row]) {
        guard !isJSON, let names = rows.first?.map(\.name) else { return rows.forEach { json(kind, $0) } }
        let cells = [names] + rows.map { $0.map(\.value.text) }
        let widths = names.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        for line in cells {
            let padded = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            write(padded.joined(separator: "  ").trimmingTrailingSpaces)
        }
    }

    /// One row by itself: `kind name=value ...`.
    func line(_ kind: String, _ row: Row) {
        if isJSON { return json(kind, row) }
        let fields = row.filter { $0.value != .absent }.map { "\($0.name)=\($0.value.quoted)" }
        write(([kind] + fields).joined(separator: " "))
    }

    private func json(_ kind: String, _ row: Row) {
        let fields = [("kind", Value.text(kind))] + row
        write("{" + fields.map { "\(Self.escaped($0.0)):\($0.1.json)" }.joined(separator: ",") + "}")
    }

    /// A JSON string.
    static func escaped(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension Output.Value {
    var text: String {
        switch self {
        case .text(let text): text
        case .number(let number): String(number)
        case .flag(let flag): flag ? "yes" : "no"
        case .absent: "-"
        }
    }

    fileprivate var quoted: String {
        guard case .text(let text) = self else { return text }
        let isPlain =
            !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "\"" }
        return isPlain ? text : Output.escaped(text)
    }

    fileprivate var json: String {
        switch self {
        case .text(let text): Output.escaped(text)
        case .number(let number): String(number)
        case .flag(let flag): flag ? "true" : "false"
        case .absent: "null"
        }
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var copy = self
        while copy.last == " " { copy.removeLast() }
        return copy
    }
}
