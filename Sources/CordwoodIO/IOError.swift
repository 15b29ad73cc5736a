/// A failed operation on a file, a directory or a socket: what was tried, on what, and why it failed.
public struct IOError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, as far as the engine tells reasons apart.
    public enum Reason: Hashable, Sendable {
        case notFound
        case exists
        case locked
        case noSpace
        case tooManyFiles
        case readOnly
        case unsupported
        /// A device error.
        case device
        /// The other side of a connection is gone, or the file, listener or connection was closed here.
        case closed
        case refused
        /// The time given for it has passed.
        case timedOut
        case other
    }

    public var reason: Reason
    /// The verb: "open", "write", "sync".
    public var operation: String
    /// Path or address.
    public var subject: String
    /// The system's error number, 0 if there is none.
    public var errorNumber: Int32

    public init(_ reason: Reason, operation: String, subject: String, errorNumber: Int32 = 0) {
        self.reason = reason
        self.operation = operation
        self.subject = subject
        self.errorNumber = errorNumber
    }

    public var description: String {
        errorNumber == 0
            ? "\(operation) \(subject): \(reason)" : "\(operation) \(subject): \(reason) (errno \(errorNumber))"
    }
}
