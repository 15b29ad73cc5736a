import Cordwood

/// `counter DIRECTORY [NAME AMOUNT]...`: adds to counters that outlive the process, and prints each new value.
@main
struct Program {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst()
        guard let directory = words.first, words.count % 2 == 1 else {
            print("usage: counter DIRECTORY [NAME AMOUNT]...")
            return
        }
        let partitions: UInt64 = 8
        var configuration = NodeConfiguration(directory: directory)
        configuration.partitionCount = Int(partitions)
        let cordwood = try await Cordwood.open(configuration) { _ in .synchronous(Counters()) }

        var rest = words.dropFirst()
        while let name = rest.popFirst(), let amount = rest.popFirst() {
            // Any rule will do, as long as a name always leads to the same partition.
            let partition = PartitionID(Array(name.utf8).withUnsafeBytes { Checksum.xxh64($0) } % partitions)
            let outcome = try await cordwood.propose(Array("\(name) \(amount)".utf8), to: partition)
            print("\(name): \(String(decoding: outcome.answer, as: UTF8.self))")
        }
        try await cordwood.close()
    }
}
