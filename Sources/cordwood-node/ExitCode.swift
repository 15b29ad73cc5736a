/// How the process ends, in the codes that service managers and scripts know.
enum ExitCode: Int32 {
    case success = 0
    case failure = 1
    /// A wrong command line.
    case usage = 64
    /// Data that cannot be trusted; a restart does not help.
    case damagedData = 65
    /// The client address cannot be listened on.
    case unavailable = 69
    case inputOutput = 74
    /// Another process holds the data directory.
    case locked = 75
    /// A wrong configuration, or one that contradicts the data directory.
    case configuration = 78
}
