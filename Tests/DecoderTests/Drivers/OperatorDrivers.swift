import CordwoodBase
import CordwoodServer

@testable import CordwoodOptions

// What operators write: configuration files and command lines, read with the node's own table of options.

extension DecoderDriver {
    static let operatorDrivers = [configurationFile, commandLine]

    private static let table = NodeOption.table(version: "1.0.0")

    private static let configurationFile = DecoderDriver(
        "configuration-file",
        samples: {
            [
                "dir = /data\n", "[limits]\nmax-frame = 4MiB # most\n[raft]\ntick = 100ms\n",
                "log.level = \"in\\\"fo\"\n",
                "dir = /a\ndir = /b\n", "[", "= 5\n", "a = \"open", "[limits] # x\r\nmax-frame = 1KiB\r\n",
            ].map { Array($0.utf8).form(0) }
                + nastyNumbers.flatMap { number in
                    ["limits.max-frame = \(number)", "raft.tick = \(number)ms", "segment.size = \(number)GiB"]
                        .map { Array(($0 + "\n").utf8).form(0) }
                }
        },
        forms: [
            { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                do throws(OptionError) {
                    let file = try ConfigurationFile(text, path: "file")
                    // Written again line by line it says the same.
                    let again = file.lines.map { "\($0.name) = \(ConfigurationFile.quoted($0.value))\n" }.joined()
                    let lines = try? ConfigurationFile(again, path: "again").lines
                    demand(
                        lines?.map { [$0.name, $0.value] } == file.lines.map { [$0.name, $0.value] },
                        "\(file.lines) was read back as \(String(describing: lines))")
                } catch { demand(!error.description.isEmpty, "a refusal without words") }
                resolve(["--config", "file"], file: text)
            }
        ])

    private static let commandLine = DecoderDriver(
        "command-line",
        samples: {
            [
                "--dir|/data|--limits-max-frame=4MiB", "--help", "-h", "help", "version|x", "--generate=bash",
                "--generate|man", "--check|--print-config", "--|--dir", "--dir", "--dir=a|--dir=b", "-", "--=",
                "run|a|b",
                "--io-backend=posix|--segment-preallocate|no", "--unknwon",
            ].map { Array($0.utf8).form(0) }
                + nastyNumbers.map { Array("--dir=a|--limits-max-clients=\($0)|--raft-tick=\($0)s".utf8).form(0) }
        },
        forms: [
            { bytes in
                let words = bytes.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
                resolve(words.map { String(decoding: $0, as: UTF8.self) }, file: "dir = /data\n")
            }
        ])

    private static func resolve(_ arguments: [String], file: String) {
        do throws(OptionError) {
            let invocation = try table.invocation(
                arguments: arguments, environment: ["CORDWOOD_LOG_LEVEL": "warn"], readFile: { _ in file })
            switch invocation {
            case .run(_, _, let values), .check(let values), .printConfiguration(let values):
                for option in table.options { _ = values.setting(option.name)?.value }
            case .help, .version, .generate: break
            }
        } catch { demand(!error.description.isEmpty, "a refusal without words") }
    }
}
