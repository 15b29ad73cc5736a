internal import CordwoodIO
internal import CordwoodOptions
internal import Glibc

/// `cordwood-bench COMMAND [options]`: what this machine's device, loop, log and core give, as a table or as JSON
/// lines.
///
/// Exit codes: 0; 1 a measurement failed; 2 usage; 74 I/O error.
@main
enum Program {
    static func main() {
        do {
            switch try BenchOptions.table.invocation(arguments: Array(CommandLine.arguments.dropFirst())) {
            case .help, .check, .printConfiguration: print(BenchOptions.table.helpText(), terminator: "")
            case .version: print(BenchOptions.table.version)
            case .generate(let text): print(BenchOptions.table.generated(text), terminator: "")
            case .run(let verb, let operands, let values):
                guard let command = BenchCommand.all.first(where: { $0.verb.name == verb }) else {
                    throw OptionError(.usage, "which benchmark? see cordwood-bench help")
                }
                try command.run(BenchRun(command: command, operands: operands, values: values))
            }
        } catch let error as OptionError {
            end(2, "\(error)")
        } catch let error as IOError {
            end(74, "\(error)")
        } catch {
            end(1, "\(error)")
        }
    }

    private static func end(_ code: Int32, _ message: String) -> Never {
        fflush(nil)
        let line = Array("cordwood-bench: \(message)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
        exit(code)
    }
}
