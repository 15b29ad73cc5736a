import CordwoodBase
import CordwoodIO
import Glibc

/// Writes events to stderr, one line each: logfmt, or JSON where it is asked for.
final class LogWriter: LogSink {
    var level: LogLevel
    private let isJSON: Bool
    /// Lines go to the journal, which wants a priority in front.
    private let hasPriority: Bool
    private let clock: any Clock

    init(level: LogLevel, isJSON: Bool, hasPriority: Bool, clock: any Clock) {
        self.level = level
        self.isJSON = isJSON
        self.hasPriority = hasPriority
        self.clock = clock
    }

    func write(_ event: LogEvent) {
        guard event.level <= level else { return }
        var fields = [
            LogEvent.Field("time", Timestamp.text(clock.wallMicroseconds)), LogEvent.Field("level", event.level.name),
            LogEvent.Field("subsystem", event.subsystem), LogEvent.Field("msg", event.message),
        ]
        fields += event.fields
        var line = isJSON ? json(fields) : logfmt(fields)
        if hasPriority { line = "<\(priority(event.level))>" + line }
        writeLine(line, to: 2)
    }

    private func logfmt(_ fields: [LogEvent.Field]) -> String {
        fields.map { "\($0.name)=\(quotedIfNeeded($0.value))" }.joined(separator: " ")
    }

    private func json(_ fields: [LogEvent.Field]) -> String {
        "{" + fields.map { "\(quoted($0.name)):\(quoted($0.value))" }.joined(separator: ",") + "}"
    }

    private func quotedIfNeeded(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x7F }
        return isPlain ? value : quoted(value)
    }

    private func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            default:
                if scalar.value < 0x20 {
                    text += "\\u00" + String(scalar.value >> 4, radix: 16) + String(scalar.value & 15, radix: 16)
                } else {
                    text.unicodeScalars.append(scalar)
                }
            }
        }
        return text + "\""
    }

    private func priority(_ level: LogLevel) -> Int {
        switch level {
        case .error: 3
        case .warn: 4
        case .info: 6
        case .debug, .trace: 7
        }
    }
}

/// Writes a line whole, as far as the descriptor takes it: a reader that is gone is no reason to fail.
func writeLine(_ line: String, to descriptor: Int32) {
    var bytes = Array((line + "\n").utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        bytes.removeFirst(count)
    }
}

/// Moments as RFC 3339 writes them, in UTC.
enum Timestamp {
    static func text(_ microseconds: Int64) -> String {
        let day: Int64 = 86_400_000_000
        let days = (microseconds >= 0 ? microseconds : microseconds - day + 1) / day
        let rest = microseconds - days * day
        let (year, month, date) = civil(days)
        let seconds = rest / 1_000_000
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(date, 2))T\(padded(seconds / 3600, 2)):"
            + "\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2)).\(padded(rest % 1_000_000, 6))Z"
    }

    /// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years begin in March here, so
    /// that the leap day is a year's last.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
