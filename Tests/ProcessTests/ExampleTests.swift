import Foundation
import ProcessTestSupport
import Testing

/// `docs/examples/counter`, the sample of the library in use, as a program of this package.
@Suite("The counter example", .timeLimit(.minutes(2)))
struct ExampleTests {
    private let example = Checkout.program("cordwood-example")

    @Test("keeps its counters from one run to the next")
    func keepsCounters() throws {
        let folder = try TemporaryFolder()
        let first = try Command(example, folder.url.path, "visits", "3", "orders", "1", "visits", "4")
        #expect(first.output == "visits: 3\norders: 1\nvisits: 7\n", "\(first.said)")
        let second = try Command(example, folder.url.path, "visits", "-2", "orders", "many")
        #expect(second.output == "visits: 5\norders: a command is a name and an amount\n", "\(second.said)")
        #expect(first.exitCode == 0 && second.exitCode == 0)
    }

    @Test("embeds Cordwood in fewer than 100 lines")
    func isShort() throws {
        let sources = Checkout.root.appending(path: "docs/examples/counter/Sources/Counter")
        let files = try FileManager.default.contentsOfDirectory(at: sources, includingPropertiesForKeys: nil)
        let lines = try files.reduce(0) { sum, file in
            sum + (try String(contentsOf: file, encoding: .utf8)).split(separator: "\n").count
        }
        #expect((1..<100).contains(lines))
    }
}

/// `docs/examples/conformance`, the sample of the kits in use, as a program of this package.
@Suite("The conformance example", .timeLimit(.minutes(2)))
struct ConformanceExampleTests {
    @Test("finds nothing wrong with its machine and its store")
    func passes() throws {
        let run = try Command(Checkout.program("cordwood-conformance-example"), seconds: 100)
        #expect(run.exitCode == 0, "\(run.said)")
        #expect(run.output.contains("machine under power cuts"))
        #expect(run.output.contains("log store: "))
    }
}
