import Foundation
import ProcessTestSupport
import Testing

@Suite("The benchmark program", .serialized)
struct BenchTests {
    private let bench = Checkout.program("cordwood-bench")

    /// What a sub-command prints with `--json`, one object a line.
    private func rows(_ arguments: [String]) throws -> [[String: Any]] {
        let folder = try TemporaryFolder()
        let run = try Command([bench] + arguments + ["--json", "--dir", folder.url.path], seconds: 100)
        #expect(run.exitCode == 0, "\(run.said)")
        let rows = try run.output.split(separator: "\n").map { line in
            try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(left.isEmpty, "left behind: \(left)")
        return rows
    }

    @Test("wrong usage ends with 2, a directory that is not there with 74")
    func exitCodes() throws {
        #expect(try Command(bench).exitCode == 2)
        #expect(try Command(bench, "shred").exitCode == 2)
        #expect(try Command(bench, "append", "--payload", "1,none").exitCode == 2)
        #expect(try Command(bench, "device", "--dir", "/nowhere/at/all").exitCode == 74)
        #expect(try Command(bench, "--help").output.contains("recovery"))
    }

    @Test("device: each block size at each depth, on both backends", .timeLimit(.minutes(2)))
    func device() throws {
        let rows = try rows(["device", "--time", "10ms"])
        #expect(rows.count == 2 * 4 * 4)
        for row in rows {
            #expect(try #require(row["writes_per_s"] as? Double) > 0)
            let percentiles = try ["p50_us", "p99_us", "p99.9_us"].map { try #require(row[$0] as? Double) }
            #expect(percentiles == percentiles.sorted() && percentiles[0] > 0)
        }
        #expect(Set(rows.compactMap { $0["io"] as? String }) == ["uring", "posix"])
    }

    @Test("append: figures of the log with those of the device beside them", .timeLimit(.minutes(2)))
    func append() throws {
        let rows = try rows(["append", "--time", "40ms", "--payload", "256", "--writers", "1,16"])
        #expect(rows.count == 4)
        for row in rows {
            for column in ["appends_per_s", "syncs_per_s", "device_writes_per_s", "of_device", "p50_of_device_4KiB"] {
                #expect(try #require(row[column] as? Double) > 0, "\(column)")
            }
            // A payload byte is written with framing and padding, so never less than once.
            #expect(try #require(row["bytes_per_payload_byte"] as? Double) > 1)
        }
    }

    @Test("recovery and read: everything that was appended is found again", .timeLimit(.minutes(2)))
    func recoveryAndRead() throws {
        let small = ["--log-size", "1MiB", "--payload", "1024", "--io", "uring", "--time", "10ms"]
        let recovered = try rows(["recovery"] + small)
        #expect(recovered.map { $0["entries"] as? Int } == [1024, 1024, 1024])
        let read = try rows(["read"] + small)
        #expect(read.map { $0["reads"] as? String } == ["in-order", "in-order, other thread", "random"])
        #expect(read.prefix(2).map { $0["entries"] as? Int } == [1024, 1024])
    }
}
