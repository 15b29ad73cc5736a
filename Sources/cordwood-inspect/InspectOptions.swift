internal import CordwoodBase
internal import CordwoodOptions

/// The command line of the inspector.
enum InspectOptions {
    static let json = Option<Bool>.boolean("json", default: false, "print JSON lines instead of text")
    static let from = Option<Int?>.integer(
        "from", unset: "from the first", in: 0...Int.max, "dump: first index (of the partition with --partition)")
    static let to = Option<Int?>.integer("to", unset: "to the last", in: 0...Int.max, "dump: last index")
    static let term = Option<Int?>.integer("term", unset: "any term", in: 0...Int.max, "dump: entries of this term")
    static let partition = Option<Int?>.integer(
        "partition", unset: "the segmented log", in: 0...65_535, "dump: this partition's log")
    static let raw = Option<Bool>.boolean("raw", default: false, "dump: payloads in hexadecimal")

    static let table = OptionTable(
        program: "cordwood-inspect",
        summary: "shows what a data directory holds; works beside a running node, takes no lock, writes nothing",
        version: "cordwood-inspect 1.0",
        verbs: Inspector.Command.allCases.map { OptionTable.Verb($0.rawValue, operands: ["DIR"], $0.summary) },
        options: [
            json.declaration, from.declaration, to.declaration, term.declaration, partition.declaration,
            raw.declaration,
        ])
}

/// How the process ends.
enum ExitCode: Int32, Sendable {
    case clean = 0
    case damaged = 1
    case usage = 2
    case unreadable = 3
}

/// Which records `dump` prints, and how.
struct DumpFilter: Sendable {
    var indexes: ClosedRange<UInt64> = 0...UInt64.max
    var term: Term?
    /// The partition whose log is printed; `nil` for the segmented log.
    var partition: PartitionID?
    var isRaw = false

    init() {}

    init(_ values: OptionValues) throws(OptionError) {
        let from = UInt64(values[InspectOptions.from] ?? 0)
        let to = values[InspectOptions.to].map { UInt64($0) } ?? .max
        guard from <= to else { throw OptionError(.usage, "--from \(from) lies behind --to \(to)") }
        indexes = from...to
        term = values[InspectOptions.term].map { Term(UInt64($0)) }
        partition = values[InspectOptions.partition].map { PartitionID(UInt64($0)) }
        isRaw = values[InspectOptions.raw]
    }
}
