/// How much an event matters to an operator.
public enum LogLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    case error
    case warn
    case info
    case debug
    case trace

    /// The name as options and log lines spell it.
    public var name: String {
        switch self {
        case .error: "error"
        case .warn: "warn"
        case .info: "info"
        case .debug: "debug"
        case .trace: "trace"
        }
    }

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// One thing that happened, for the node's log: one line each, whatever the format.
public struct LogEvent: Sendable, Hashable {
    public struct Field: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var level: LogLevel
    /// The room that speaks: "log", "node", "io", "client".
    public var subsystem: String
    public var message: String
    public var fields: [Field]

    public init(_ level: LogLevel, _ subsystem: String, _ message: String, fields: [Field] = []) {
        self.level = level
        self.subsystem = subsystem
        self.message = message
        self.fields = fields
    }
}

/// Where events go. Confined to the loop.
public protocol LogSink: AnyObject {
    /// Events above this level are not wanted: check it before forming an expensive one.
    var level: LogLevel { get }

    func write(_ event: LogEvent)
}

/// Drops every event.
public final class SilentLog: LogSink {
    public let level = LogLevel.error

    public init() {}

    public func write(_ event: LogEvent) {}
}
