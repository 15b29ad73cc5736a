/// Why options were refused, in one line that names the option, the value and what would be accepted.
public struct OptionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where the mistake is: the programs end with different exit codes.
    public enum Origin: Hashable, Sendable {
        /// In the command line.
        case usage
        /// In the environment, in a file, or between options that contradict each other.
        case configuration
    }

    public var origin: Origin
    public var description: String

    public init(_ origin: Origin, _ description: String) {
        self.origin = origin
        self.description = description
    }
}
