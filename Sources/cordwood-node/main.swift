import CordwoodOptions
import CordwoodServer
import Glibc

/// Version of the product.
let version = "0.1.0"

/// Every variable of the process's environment.
func environmentVariables() -> [String: String] {
    var variables: [String: String] = [:]
    var cursor = environ
    while let entry = cursor.pointee {
        let text = String(cString: entry)
        if let equals = text.firstIndex(of: "=") {
            variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        cursor += 1
    }
    return variables
}

/// The text of a file that the command line names.
func readFile(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw OptionError(.configuration, String(cString: strerror(errno))) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    guard ferror(file) == 0 else { throw OptionError(.configuration, "the file cannot be read") }
    return String(decoding: bytes, as: UTF8.self)
}

let environment = environmentVariables()
let table = NodeOption.table(version: version)

do throws(OptionError) {
    switch try table.invocation(
        arguments: Array(CommandLine.arguments.dropFirst()), environment: environment, readFile: readFile)
    {
    case .help: writeLine(table.helpText(), to: 1)
    case .version: writeLine("cordwood-node \(version)", to: 1)
    case .generate(let text): writeLine(table.generated(text), to: 1)
    case .check: writeLine("configuration is valid", to: 1)
    case .printConfiguration(let options): writeLine(options.configurationText(), to: 1)
    case .run(_, _, let options):
        exit(NodeProgram(options: options, environment: environment).run().rawValue)
    }
} catch {
    writeLine("cordwood-node: \(error)", to: 2)
    exit((error.origin == .usage ? ExitCode.usage : .configuration).rawValue)
}
