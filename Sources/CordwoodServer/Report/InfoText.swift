/// INFO's form: sections of `key:value` lines.
struct InfoText {
    private(set) var text = ""

    mutating func section(_ title: String) {
        if !text.isEmpty { text += "\r\n" }
        text += "# \(title)\r\n"
    }

    mutating func line(_ key: String, _ value: some CustomStringConvertible) { text += "\(key):\(value)\r\n" }

    mutating func line(_ key: String, _ value: Bool) { text += "\(key):\(value ? 1 : 0)\r\n" }

    /// A key with several named values: `key:a=1,b=2`.
    mutating func line(_ key: String, fields: [(String, any CustomStringConvertible)]) {
        text += "\(key):" + fields.map { "\($0.0)=\($0.1)" }.joined(separator: ",") + "\r\n"
    }

    /// A size as people read it: `1.5M`.
    static func human(_ bytes: UInt64) -> String {
        var value = bytes
        var rest: UInt64 = 0
        for unit in ["B", "K", "M", "G", "T"] {
            if value < 1024 || unit == "T" {
                return unit == "B" ? "\(value)B" : "\(value).\(rest * 100 / 1024 / 10)\(rest * 100 / 1024 % 10)\(unit)"
            }
            rest = value % 1024
            value /= 1024
        }
        return "\(bytes)B"
    }
}
