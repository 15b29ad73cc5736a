import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import cordwood_inspect

@Suite("The inspector on an intact directory")
struct IntactDirectoryTests {
    private let image: DiskImage

    init() throws { image = try InspectedWorld.make() }

    @Test("verify finds every stream clean")
    func verify() throws {
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .clean)
        #expect(found.damage.isEmpty)
        #expect(found.rows("stream").count == 4)
        #expect(found.rows("stream").allSatisfy { $0.contains("\"class\":\"clean\"") })
    }

    @Test(
        "a partition log whose first write after an opening was a roll is clean", arguments: [10, 20, 30] as [UInt64])
    func rolledAfterOpening(_ reopensEvery: UInt64) throws {
        let shape = InspectedWorld.Shape(partitionSegmentBytes: 32 << 10, persistsEvery: 5, reopensEvery: reopensEvery)
        let image = try InspectedWorld.make(shape)
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .clean, "\(found.damage)")
        let partitions = found.rows("stream").filter { $0.contains("partition") }
        #expect(partitions.count == 3 && partitions.allSatisfy { !$0.contains("\"segments\":1,") })
        let digest = try Inspection.run(.digest, on: image)
        #expect(digest.code == .clean && digest.rows("partition").count == 3)
        #expect(digest.rows == (try Inspection.run(.digest, on: InspectedWorld.make())).rows)
    }

    @Test("segments names every file with its range and what holds it back")
    func segments() throws {
        let found = try Inspection.run(.segments, on: image)
        #expect(found.code == .clean)
        let log = found.rows.filter { $0.contains("\"stream\":\"log\"") }
        #expect(log.count > 2)
        #expect(log.first?.contains("\"first_index\":1,") == true)
        #expect(log.last?.contains("\"held_by\":\"active\"") == true)
        #expect(log.contains { $0.contains("\"held_by\":null") })
        #expect(found.rows.filter { $0.contains("\"stream\":\"partition") }.count == 3)
    }

    @Test("dump prints every entry once, in order, and what it appends")
    func dump() throws {
        let entries = try Inspection.run(.dump, on: image).rows("entry")
        #expect(entries.count == 300)
        for (position, row) in entries.enumerated() { #expect(row.contains("\"index\":\(position + 1),")) }
        #expect(entries[0].contains("orders orders "))
        #expect(entries[0].contains("400+0 bytes"))
    }

    @Test("dump takes a range, a term, a partition, and raw payloads")
    func dumpFilters() throws {
        var filter = DumpFilter()
        filter.indexes = 10...12
        #expect(try Inspection.run(.dump, on: image, filter: filter).rows.count == 3)
        filter = DumpFilter()
        filter.term = 2
        #expect(try Inspection.run(.dump, on: image, filter: filter).rows.count == 101)
        filter = DumpFilter()
        filter.partition = 1
        filter.indexes = 1...UInt64.max
        let records = try Inspection.run(.dump, on: image, filter: filter).rows("record")
        #expect(records.count == 67)
        #expect(records.last?.contains("\"index\":67,\"raft_index\":199,") == true)
        filter.isRaw = true
        let raw = try Inspection.run(.dump, on: image, filter: filter).rows("record")
        #expect(raw[0].contains("\"payload\":\"0100010"))
        filter.partition = 9
        #expect(try Inspection.run(.dump, on: image, filter: filter).code == .unreadable)
    }

    @Test("watermarks are those that recovery would compute, and say that they are lower bounds")
    func watermarks() throws {
        let found = try Inspection.run(.watermarks, on: image)
        #expect(found.code == .clean)
        #expect(found.notes.contains { $0.contains("lower bounds") })
        // 300 entries over 3 partitions, committed up to 260, persisted up to 200; every tenth is refused by apply.
        #expect(
            found.rows == [
                watermark(0, logged: 100, applied: 86, persisted: 66, events: 78),
                watermark(1, logged: 100, applied: 87, persisted: 67, events: 78),
                watermark(2, logged: 100, applied: 87, persisted: 67, events: 78),
            ])
    }

    private func watermark(_ partition: Int, logged: Int, applied: Int, persisted: Int, events: Int) -> String {
        "{\"kind\":\"watermark\",\"bound\":\"lower\",\"partition\":\(partition),\"logged\":\(logged),"
            + "\"confirmed\":\(applied),\"applied\":\(applied),\"persisted\":\(persisted),\"w\":\(events)}"
    }

    @Test("the floor is held by what the partitions and the checkpoint have not covered")
    func floor() throws {
        let found = try Inspection.run(.floor, on: image)
        #expect(found.code == .clean)
        #expect(found.rows("floor")[0].contains("\"floor\":201,\"commit\":260,"))
        #expect(found.rows("holder").count == 2)
        #expect(found.rows("holder")[0].contains("\"reason\":\"persisted\",\"index\":201"))
        #expect(found.rows("holder")[1].contains("\"partition\":null,\"reason\":\"checkpoint\",\"index\":201"))
    }

    @Test("without a checkpoint the first entry is not covered, and commit holds the floor when all else is done")
    func floorHolders() throws {
        var shape = InspectedWorld.Shape()
        shape.hasCheckpoint = false
        let uncovered = try Inspection.run(.floor, on: InspectedWorld.make(shape))
        #expect(uncovered.rows("holder").map { $0.contains("\"reason\":\"checkpoint\",\"index\":1}") } == [true])
        shape = InspectedWorld.Shape()
        shape.persisted = 300
        shape.committed = 300
        let done = try Inspection.run(.floor, on: InspectedWorld.make(shape))
        #expect(done.rows("holder").map { $0.contains("\"reason\":\"commit\",\"index\":301}") } == [true])
    }

    @Test("text output has aligned columns, and one line a record")
    func text() throws {
        let table = try Inspection.run(.watermarks, on: image, isJSON: false).rows
        #expect(table[0] == "bound  partition  logged  confirmed  applied  persisted  w")
        #expect(table[1] == "lower  0          100     86         86       66         78")
        let dump = try Inspection.run(.dump, on: image, isJSON: false).rows.filter { $0.hasPrefix("entry ") }
        #expect(dump[0].hasPrefix("entry index=1 term=1 type=application "))
    }

    @Test("a log's own directory can be inspected alone")
    func partOfDirectory() throws {
        #expect(try Inspection.run(.verify, on: image, directory: "/data/log").rows.count == 1)
        #expect(try Inspection.run(.verify, on: image, directory: "/data/partitions").rows.count == 3)
    }

    @Test("what a node fetches, mends or has put aside is passed over, unless it is named")
    func putAside() throws {
        var image = image
        for path in image.paths {
            let bytes = image.contents(path) ?? []
            if path.hasPrefix("/data/log/") { image.put("/data/repair/damaged-log/" + path.dropFirst(10), bytes) }
            if path.hasPrefix("/data/partitions/") { image.put("/data/staging/whole/" + path.dropFirst(17), [0]) }
        }
        #expect(try Inspection.run(.verify, on: image).rows == Inspection.run(.verify, on: self.image).rows)
        let aside = try Inspection.run(.verify, on: image, directory: "/data/repair/damaged-log")
        #expect(aside.code == .clean && aside.rows.count == 1)
    }

    @Test("a directory without a log, or none at all, is unreadable")
    func unreadable() throws {
        #expect(try Inspection.run(.verify, on: image, directory: "/nowhere").code == .unreadable)
        #expect(try Inspection.run(.segments, on: DiskImage(), directory: "/").code == .unreadable)
    }

    @Test("partition logs of several segments are read as one")
    func partitionSegments() throws {
        var shape = InspectedWorld.Shape()
        shape.partitionSegmentBytes = 16 << 10
        shape.persistsEvery = 20
        let image = try InspectedWorld.make(shape)
        let files = image.paths.filter { $0.contains("/00001-") }
        #expect(files.count > 2)
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .clean, "\(found.damage)")
        #expect(found.rows("stream").count == 4)
        #expect(try Inspection.run(.watermarks, on: image).rows == Inspection.run(.watermarks, on: self.image).rows)
        var damaged = image
        damaged.remove(files[1])
        #expect(try Inspection.run(.verify, on: damaged).damage.map(\.kind) == [.missing])
    }

    @Test("beside a running node everything is found clean, at any moment")
    func liveDirectory() throws {
        let world = VirtualWorld(seed: 3)
        let codes = try world.run { seams in
            var isWriting = true
            seams.scheduler.spawn("writer") {
                var shape = InspectedWorld.Shape()
                shape.pauseNanoseconds = 3_000_000
                shape.persistsEvery = 20
                do { try await InspectedWorld.write(shape, seams) } catch { Issue.record(error) }
                isWriting = false
            }
            var codes: [ExitCode] = []
            while isWriting {
                await seams.clock.sleep(nanoseconds: 2_000_000)
                let inspector = Inspector(
                    directory: "/data", files: seams.files,
                    output: Output(isJSON: true, write: { _ in }, note: { _ in }))
                codes.append(await inspector.run(.verify))
            }
            return codes
        }
        #expect(codes.count > 3, "\(codes)")
        // Before the first segment is made there is nothing to be read.
        #expect(codes.drop { $0 == .unreadable }.allSatisfy { $0 == .clean }, "\(codes)")
    }

    @Test("what a crash tore is not damage")
    func tornEnd() throws {
        var shape = InspectedWorld.Shape()
        shape.closes = false
        var image = try InspectedWorld.make(shape)
        let path = try #require(image.logFiles.last)
        let end = try #require(image.contents(path)?.lastIndex { $0 != 0 })
        image.flip(path, at: UInt64(end), mask: 0x10)
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .clean, "\(found.damage)")
    }
}

@Suite("The inspector on a damaged directory")
struct DamagedDirectoryTests {
    private let image: DiskImage

    init() throws { image = try InspectedWorld.make() }

    @Test(
        "damage to promised data is named with file, offset, index range and class; what stands before is still shown")
    func corruptLog() throws {
        var image = image
        let path = try #require(image.logFiles.dropFirst().first)
        image.flip(path, at: 24_000, mask: 1)
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .damaged)
        let damage = try #require(found.damage.first)
        #expect(damage.kind == .corrupt)
        #expect(damage.file == path)
        #expect(damage.offsets.lowerBound <= 24_000 && damage.offsets.upperBound > 24_000)
        let indexes = try #require(damage.indexes)
        #expect(indexes.lowerBound > 1 && indexes.upperBound == 301)
        #expect(found.rows("damage").count == 1)

        let dump = try Inspection.run(.dump, on: image)
        #expect(dump.code == .damaged)
        #expect(dump.rows("entry").count == Int(indexes.lowerBound.rawValue) - 1)
        for command in [Inspector.Command.watermarks, .floor] {
            #expect(try Inspection.run(command, on: image).code == .damaged)
        }
    }

    @Test("a missing segment is missing")
    func missingSegment() throws {
        var image = image
        image.remove(try #require(image.logFiles.dropFirst().first))
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .damaged)
        #expect(found.damage.first?.kind == .missing)
    }

    @Test("damage to a partition log is told apart from the others")
    func corruptPartition() throws {
        var image = image
        let path = try #require(image.paths.first { $0.hasSuffix("00001-0000000001.log") })
        image.flip(path, at: 9_000, mask: 4)
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .damaged)
        let damage = try #require(found.damage.first)
        #expect(found.damage.count == 1)
        #expect(damage.kind == .derived && damage.file == path)
        #expect(damage.offsets.lowerBound <= 9_000 && damage.offsets.upperBound > 9_000)
        #expect(found.rows("stream").filter { $0.contains("\"class\":\"clean\"") }.count == 3)
    }

    @Test("a partition log that is gone is derived while the segmented log can give it again")
    func missingPartition() throws {
        var image = image
        image.remove(try #require(image.paths.first { $0.hasSuffix("00002-0000000001.log") }))
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .damaged)
        #expect(found.damage.map(\.kind) == [.derived])
        #expect(found.damage[0].detail.contains("partition 2"))
    }

    @Test("a partition log ahead of the segmented log shows that promised data are lost")
    func partitionAhead() throws {
        var shape = InspectedWorld.Shape()
        shape.persisted = 40
        shape.entries = 40
        shape.committed = 40
        shape.hasCheckpoint = false
        let short = try InspectedWorld.make(shape)
        var image = image
        for path in image.logFiles { image.remove(path) }
        for path in short.logFiles { image.put(path, try #require(short.contents(path))) }
        let found = try Inspection.run(.verify, on: image)
        #expect(found.code == .damaged)
        #expect(found.damage.allSatisfy { $0.kind == .missing })
        #expect(found.damage.count == 3)
    }

    @Test("every flipped bit of a sealed segment's batches is found", arguments: [1, 2, 3] as [UInt64])
    func flippedBytes(seed: UInt64) throws {
        let random = VirtualWorld(seed: seed).random("flips")
        let path = try #require(image.logFiles.first)
        let seal = try #require(image.contents(path)?.lastIndex { $0 != 0 })
        for _ in 0..<40 {
            var damaged = image
            let offset = random.next() % UInt64(seal)
            damaged.flip(path, at: offset, mask: UInt8(1 << (random.next() % 8)))
            let found = try Inspection.run(.verify, on: damaged)
            #expect(found.code == .damaged, "seed \(seed): a flip at \(offset) of \(path) went unseen")
        }
    }
}

extension DiskImage {
    /// The segment files of the segmented log, in order.
    fileprivate var logFiles: [String] { paths.filter { $0.hasSuffix(".seg") } }
}
