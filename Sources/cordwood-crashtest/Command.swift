import Foundation

/// A subcommand: one type, one file.
protocol Command {
    static var name: String { get }
    /// One line for the usage text.
    static var synopsis: String { get }
    /// Runs with the arguments behind the name; returns the exit code.
    static func run(_ arguments: [String]) -> Int32
}

func complain(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
