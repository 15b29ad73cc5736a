import CordwoodCrash

/// `kill`: the log store in processes of its own, each killed at a drawn operation of its I/O.
struct KillCommand: Command {
    static let name = "kill"
    static let synopsis = CrashProgram.synopsis
    static let program = CrashProgram("cordwood-crashtest", [("log", LogSubject())])

    static func run(_ arguments: [String]) -> Int32 { program.kill(arguments) }
}
