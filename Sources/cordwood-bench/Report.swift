/// Rows of figures, as aligned columns or as JSON lines. A new heading is printed when the columns change.
final class Report {
    enum Value {
        case text(String)
        case count(UInt64)
        /// Shown with this many digits behind the point.
        case number(Double, digits: Int)
        case absent
    }

    typealias Row = [(name: String, value: Value)]

    private let bench: String
    private let isJSON: Bool
    private var columns: [String] = []

    init(bench: String, isJSON: Bool) {
        self.bench = bench
        self.isJSON = isJSON
    }

    func add(_ row: Row) {
        if isJSON {
            let fields = row.map { "\"\($0.name)\":\($0.value.json)" }
            print("{\"bench\":\"\(bench)\",\(fields.joined(separator: ","))}")
            return
        }
        let names = row.map(\.name)
        if names != columns {
            if !columns.isEmpty { print() }
            columns = names
            print(line(names, names))
        }
        print(line(row.map(\.value.text), names))
    }

    private func line(_ cells: [String], _ names: [String]) -> String {
        zip(cells, names).map { padded($0, to: max(8, $1.count)) }.joined(separator: "  ")
    }

    private func padded(_ text: String, to width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

extension Report.Value {
    fileprivate var text: String {
        switch self {
        case .text(let text): text
        case .count(let count): "\(count)"
        case .number(let number, let digits): fixed(number, digits)
        case .absent: "-"
        }
    }

    fileprivate var json: String {
        switch self {
        case .text(let text): "\"\(text)\""
        case .count(let count): "\(count)"
        case .number(let number, let digits): fixed(number, digits)
        case .absent: "null"
        }
    }

    private func fixed(_ number: Double, _ digits: Int) -> String {
        guard number.isFinite else { return "0" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = UInt64((abs(number) * scale).rounded())
        let unit = UInt64(scale)
        let sign = number < 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % unit)
        return "\(sign)\(scaled / unit)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
