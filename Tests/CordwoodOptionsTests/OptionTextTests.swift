import CordwoodOptions
import Testing

@Suite("Options: texts made from the table") struct OptionTextTests {
    @Test func theSampleConfigurationStatesTheDefaults() throws {
        let sample = Sample.table.sampleConfiguration()
        let values = try Sample.values(["--data", "d", "--config", "sample"], file: sample)
        for setting in values.settings where setting.declaration.name != "dir" {
            #expect(setting.value == setting.declaration.defaultValue, "\(setting.declaration.name)")
            if setting.value != nil, case .file = setting.source { continue }
            #expect(setting.value == nil && setting.source == .defaultValue)
        }
    }

    @Test func thePrintedConfigurationStatesTheSameValues() throws {
        let arguments = ["--commit-delay", "3ms", "--segment-size", "32MiB", "--node-name", " a\"b\\ # "]
        let values = try Sample.values(["--data", "/x y"] + arguments)
        let printed = values.configurationText()
        #expect(printed.contains("delay = 3ms  # flag --commit-delay"))
        #expect(printed.contains("depth = 1  # default"))
        let reread = try Sample.values(["--config", "printed"], file: printed)
        for (setting, again) in zip(values.settings, reread.settings) { #expect(setting.value == again.value) }
    }

    @Test func everyTextNamesEveryOption() {
        let help = Sample.table.helpText()
        let reference = Sample.table.referenceTable()
        for option in Sample.table.options {
            #expect(help.contains(option.flag + " ") && help.contains(option.summary))
            #expect(reference.contains("`\(option.name)`"))
        }
        for text in [GeneratedText.bash, .zsh, .fish] {
            let script = Sample.table.generated(text)
            for option in Sample.table.options {
                #expect(script.contains(text == .fish ? "-l \(option.flag.dropFirst(2)) " : option.flag), "\(text)")
            }
            #expect(script.contains("apple pear"))
        }
    }

    @Test func whatIsAskedForInsteadOfARun() throws {
        func ask(_ arguments: String...) throws -> String {
            switch try Sample.table.invocation(arguments: arguments) {
            case .help: "help"
            case .version: "version"
            case .generate(let text): text.rawValue
            case .check: "check"
            case .printConfiguration: "print"
            case .run: "run"
            }
        }
        #expect(try ask("--help") == "help" && ask("-h") == "help" && ask("help") == "help")
        #expect(try ask("version") == "version" && ask("--version") == "version")
        #expect(try ask("help", "--generate=fish") == "fish")
        #expect(try ask("--data", "d", "--check") == "check")
        #expect(try ask("--data", "d", "--print-config") == "print")
        #expect(throws: OptionError.self) { try ask("--check") }
        #expect(throws: OptionError.self) { try ask("--generate", "pdf") }
    }
}

@Suite("Sizes and durations") struct QuantityTests {
    @Test func whatIsWrittenIsRead() {
        for bytes: UInt64 in [0, 1, 1000, 1024, 1536, 64 << 20, 10 << 30, 3 << 40, (1 << 20) + 1] {
            #expect(Quantity.size(Quantity.sizeText(bytes)) == bytes)
        }
        for time: UInt64 in [0, 1, 999, 1000, 150_000_000, 8_000_000_000, 90_000_000_000, 86_400_000_000_000] {
            #expect(Quantity.duration(Quantity.durationText(time)) == time)
        }
        #expect(Quantity.sizeText(1536 << 10) == "1536KiB")
        #expect(Quantity.durationText(90_000_000_000) == "90s")
    }
}
