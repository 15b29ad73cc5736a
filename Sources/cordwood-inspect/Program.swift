internal import CordwoodIO
internal import CordwoodOptions
internal import CordwoodPlatform
internal import Glibc

/// `cordwood-inspect COMMAND DIR`: what a data directory holds, whether it is intact, and what recovery would make of
/// it. Works on live, stopped and damaged directories; takes no lock and writes nothing.
@main
enum Program {
    static func main() {
        do throws(OptionError) {
            switch try InspectOptions.table.invocation(arguments: Array(CommandLine.arguments.dropFirst())) {
            case .help, .check, .printConfiguration: print(InspectOptions.table.helpText(), terminator: "")
            case .version: print(InspectOptions.table.version)
            case .generate(let text): print(InspectOptions.table.generated(text), terminator: "")
            case .run(let verb, let operands, let values):
                guard let command = verb.flatMap(Inspector.Command.init), let directory = operands.first else {
                    throw OptionError(.usage, "which command? see cordwood-inspect help")
                }
                end(run(command, directory, values))
            }
        } catch {
            note("\(error)")
            end(.usage)
        }
    }

    private static func run(_ command: Inspector.Command, _ directory: String, _ values: OptionValues) -> ExitCode {
        do {
            let platform = try Platform.start(io: .posix)
            defer { platform.shutdown() }
            let filter = try DumpFilter(values)
            let isJSON = values[InspectOptions.json]
            return try platform.runToEnd { seams in
                let output = Output(
                    isJSON: isJSON, write: { print($0) }, note: { Program.note($0) })
                return await Inspector(directory: directory, files: seams.files, output: output)
                    .run(command, filter: filter)
            }
        } catch let error as OptionError {
            note("\(error)")
            return .usage
        } catch {
            note("\(error)")
            return .unreadable
        }
    }

    private static func note(_ message: String) {
        let line = Array("cordwood-inspect: \(message)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }

    private static func end(_ code: ExitCode) -> Never {
        fflush(nil)
        exit(code.rawValue)
    }
}
