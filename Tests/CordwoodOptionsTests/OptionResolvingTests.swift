import CordwoodOptions
import Testing

@Suite("Options: where a value comes from") struct OptionPrecedenceTests {
    @Test func aFlagWinsOverTheEnvironmentOverTheFileOverTheDefault() throws {
        let file = "[commit]\ndepth = 2\n"
        let environment = ["SAMPLE_COMMIT_DEPTH": "3"]
        let flags = ["--data", "d", "--config", "f.conf"]
        #expect(try Sample.values(["--data", "d"])[Sample.depth] == 1)
        #expect(try Sample.values(flags, file: file)[Sample.depth] == 2)
        #expect(try Sample.values(flags, environment: environment, file: file)[Sample.depth] == 3)
        let all = try Sample.values(flags + ["--commit-depth", "4"], environment: environment, file: file)
        #expect(all[Sample.depth] == 4)
        #expect(all.setting("commit.depth")?.source == .flag("--commit-depth"))
        #expect(
            try Sample.values(flags, file: file).setting("commit.depth")?.source == .file(path: "f.conf", line: 2))
    }

    @Test func valuesOfEveryKindAreRead() throws {
        let values = try Sample.values([
            "--dir=/var/lib/x", "--append-strict", "--commit-delay", "150ms", "--segment-size=1GiB", "--listen",
            "[::1]:0", "--fruit-kind", "pear", "--node-name", "",
        ])
        #expect(values[Sample.dir] == "/var/lib/x")
        #expect(values[Sample.strict])
        #expect(values[Sample.delay] == 150_000_000)
        #expect(values[Sample.segment] == 1 << 30)
        #expect(values[Sample.address] == Endpoint(host: "::1", port: 0))
        #expect(values[Sample.fruit] == .pear)
        #expect(values[Sample.name] == "")
        #expect(values[Sample.idle] == nil)
    }

    @Test func aBooleanFlagMayStateItsValue() throws {
        #expect(try Sample.values(["--data", "d", "--append-strict", "no"])[Sample.strict] == false)
        #expect(try Sample.values(["--data", "d", "--append-strict=yes"])[Sample.strict])
        #expect(try Sample.values(["--append-strict", "--data", "d"])[Sample.strict])
    }

    @Test func theEnvironmentCanNameTheFile() throws {
        let values = try Sample.values(
            ["--data", "d"], environment: ["SAMPLE_CONFIG": "x"], file: "node.name = \"a # b\"  # comment\n")
        #expect(values[Sample.name] == "a # b")
    }

    @Test func aReloadableOptionCanBeSetWhileRunning() throws {
        var values = try Sample.values(["--data", "d"])
        try values.set("fruit.kind", to: "pear")
        #expect(values[Sample.fruit] == .pear)
        #expect(throws: OptionError.self) { try values.set("fruit.kind", to: "plum") }
        #expect(throws: OptionError.self) { try values.set("commit.depth", to: "2") }
        #expect(throws: OptionError.self) { try values.set("nothing", to: "2") }
    }
}

@Suite("Options: what is refused") struct OptionRefusalTests {
    @Test func aWrongValueIsRefusedWithItsNameValueAndRange() {
        #expect(
            Sample.refusal(["--data", "d", "--segment-size", "5MiB"])
                == "segment.size = '5MiB' (flag --segment-size): must be 16MiB to 10GiB")
        #expect(
            Sample.refusal(["--data", "d"], environment: ["SAMPLE_COMMIT_DEPTH": "9"])
                == "commit.depth = '9' (environment SAMPLE_COMMIT_DEPTH): must be 1 to 4")
        #expect(
            Sample.refusal(["--data", "d", "--config", "c"], file: "\n[fruit]\nkind = plum\n")
                == "fruit.kind = 'plum' (c:3): must be apple or pear")
    }

    @Test(arguments: ["1", "1x", "-1s", "1.5s", "99999999999999999999s", "", "s"])
    func aMalformedDurationIsRefused(text: String) {
        #expect(Sample.refusal(["--data", "d", "--commit-delay=\(text)"]).contains("must be 0 to 1s"))
    }

    @Test(arguments: ["64MB", "x", "-1", "18446744073709551616", "20000000TiB", ""])
    func aMalformedSizeIsRefused(text: String) {
        #expect(Sample.refusal(["--data", "d", "--segment-size=\(text)"]).contains("must be 16MiB to 10GiB"))
    }

    @Test(arguments: ["127.0.0.1", "127.0.0.1:", ":80", "::1:80", "h:65536", "a b:1"])
    func aMalformedAddressIsRefused(text: String) {
        #expect(Sample.refusal(["--data", "d", "--listen=\(text)"]).contains("must be host:port"))
    }

    @Test func unknownNamesAreRefusedWithTheNearestKnownOne() {
        #expect(
            Sample.refusal(["--data", "d", "--segment-sizes", "1"])
                == "unknown flag --segment-sizes, did you mean --segment-size?")
        #expect(
            Sample.refusal(["--data", "d"], environment: ["SAMPLE_COMIT_DEPTH": "1"])
                == "environment SAMPLE_COMIT_DEPTH: no such option, did you mean SAMPLE_COMMIT_DEPTH?")
        #expect(
            Sample.refusal(["--data", "d", "--config", "c"], file: "[commit]\nwidth = 1\n")
                .hasPrefix("c:2: unknown option 'commit.width'"))
        #expect(Sample.refusal(["--data", "d", "lisst", "x"]) == "unknown command 'lisst', did you mean list?")
    }

    @Test func anOptionStatedTwiceIsRefused() {
        #expect(Sample.refusal(["--data", "d", "--dir", "e"]) == "--dir is given twice")
        #expect(
            Sample.refusal(["--data", "d", "--config", "c"], file: "commit.depth = 1\n[commit]\ndepth = 2\n")
                == "c:3: option 'commit.depth' is already stated in line 1")
    }

    @Test func aRequiredOptionMustBeGiven() {
        #expect(Sample.refusal([]) == "dir is required: --data PATH")
        #expect(Sample.refusal(["--data"]) == "--data needs a value")
    }

    @Test func optionsThatContradictEachOtherAreRefused() {
        let refusal = "commit.idle-delay must be at least commit.delay"
        #expect(Sample.refusal(["--data", "d", "--commit-delay", "20ms", "--commit-idle-delay", "10ms"]) == refusal)
        #expect(Sample.refusal(["--data", "d", "--commit-idle-delay", "10ms", "--commit-delay", "20ms"]) == refusal)
        #expect(Sample.refusal(["--data", "d", "--commit-idle-delay", "20ms", "--commit-delay", "20ms"]) == "accepted")
    }

    @Test(arguments: [
        "nonsense", "[open", "[commit] x", "= 1", "Key = 1", "a b = 1", "x = \"open", "x = \"a\" b", "x = \"a\\n\"",
    ])
    func aMalformedLineIsRefusedWithItsNumber(line: String) {
        #expect(Sample.refusal(["--data", "d", "--config", "c"], file: "# first\n\(line)\n").hasPrefix("c:2: "))
    }

    @Test func operandsMustFitTheCommand() throws {
        #expect(Sample.refusal(["--data", "d", "list"]) == "list takes DIR [PART]")
        #expect(Sample.refusal(["--data", "d", "list", "a", "b", "c"]) == "list takes DIR [PART]")
        guard
            case .run(let verb, let operands, _) = try Sample.table.invocation(
                arguments: ["list", "--data", "d", "--", "--odd"])
        else { return #expect(Bool(false)) }
        #expect(verb == "list" && operands == ["--odd"])
    }
}
