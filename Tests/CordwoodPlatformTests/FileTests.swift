import CordwoodIO
import CordwoodPlatform
import Testing

@Suite("Files")
struct FileTests {
    @Test("What was written is read back, and reads are short at the end only", arguments: backends)
    func writeAndRead(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            #expect(!file.isDirect)
            try await file.write(IOBuffer(text: "hello world"), 0..<11, at: 0, durable: false)
            try await file.write(IOBuffer(text: "-W-"), 1..<2, at: 6, durable: true)
            try await file.sync()
            #expect(try await file.size() == 11)
            let buffer = IOBuffer(count: 100)
            #expect(try await file.read(into: buffer, 10..<100, at: 6) == 5)
            #expect(buffer.text(10..<15) == "World")
            #expect(try await file.read(into: buffer, 0..<10, at: 11) == 0)
            #expect(try await file.read(into: buffer, 0..<10, at: 1000) == 0)
            #expect(try await file.read(into: buffer, 0..<0, at: 0) == 0)
            try await file.dropCache()
            #expect(try await file.read(into: buffer, 0..<5, at: 0) == 5)
            #expect(buffer.text(0..<5) == "hello")
            await file.close()
        }
    }

    @Test("Opening says whether the file was there", arguments: backends)
    func existence(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let files = seams.files
            let path = "\(directory)/a"
            let absent = await reason { _ = try await files.open(path, FileMode(.mustExist, writable: true)) }
            #expect(absent == .notFound)
            let made = try await files.open(path, FileMode(.mustCreate, writable: true))
            await made.close()
            let present = await reason { _ = try await files.open(path, FileMode(.mustCreate, writable: true)) }
            #expect(present == .exists)
            let readOnly = try await files.open(path, FileMode(.createIfMissing, writable: false))
            let refused = await reason {
                try await readOnly.write(IOBuffer(text: "x"), 0..<1, at: 0, durable: false)
            }
            #expect(refused != nil)
            await readOnly.close()
        }
    }

    @Test("Growing adds zeros, shrinking cuts", arguments: backends)
    func resize(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(IOBuffer(text: "abc"), 0..<3, at: 0, durable: false)
            try await file.resize(1 << 20)
            #expect(try await file.size() == 1 << 20)
            let buffer = IOBuffer(count: 1 << 20, repeating: 0xFF)
            #expect(try await file.read(into: buffer, 0..<(1 << 20), at: 0) == 1 << 20)
            #expect(buffer.text(0..<3) == "abc")
            #expect(buffer[3..<(1 << 20)].allSatisfy { $0 == 0 })
            try await file.resize(2)
            #expect(try await file.size() == 2)
            #expect(try await file.read(into: buffer, 0..<10, at: 0) == 2)
            await file.close()
        }
    }

    @Test("Direct I/O goes by the alignment of the file system", arguments: backends)
    func direct(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let file = try await seams.files.open(
                "\(directory)/a", FileMode(.mustCreate, writable: true, direct: true))
            let alignment = file.alignmentBytes
            print("\(backend.rawValue): direct \(file.isDirect), alignment \(alignment)")
            #expect(alignment > 0 && alignment & (alignment - 1) == 0 && alignment <= IOBuffer.alignment)
            #expect(file.isDirect == (alignment > 1))
            let block = IOBuffer.alignment
            let buffer = IOBuffer(count: 4 * block)
            for index in 0..<buffer.count { buffer.bytes[index] = UInt8(truncatingIfNeeded: index / block + 1) }
            try await file.resize(UInt64(4 * block))
            try await file.write(buffer, 0..<(4 * block), at: 0, durable: true)
            let back = IOBuffer(count: 8 * block, repeating: 0)
            #expect(try await file.read(into: back, block..<(8 * block), at: UInt64(block)) == 3 * block)
            #expect(back.bytes[block] == 2 && back.bytes[4 * block - 1] == 4 && back.bytes[4 * block] == 0)
            // A length that is no multiple of a block is met by reads at the end.
            try await file.resize(UInt64(block + 100))
            #expect(try await file.read(into: back, 0..<(8 * block), at: 0) == block + 100)
            await file.close()
        }
    }

    @Test("A file system that refuses direct I/O, or does it its own way, still works", arguments: backends)
    func memoryFileSystem(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend, under: "/dev/shm") { seams, directory in
            let file = try await seams.files.open(
                "\(directory)/a", FileMode(.mustCreate, writable: true, direct: true))
            let buffer = IOBuffer(count: IOBuffer.alignment, repeating: 7)
            try await file.resize(UInt64(buffer.count))
            try await file.write(buffer, 0..<buffer.count, at: 0, durable: true)
            let back = IOBuffer(count: buffer.count)
            #expect(try await file.read(into: back, 0..<back.count, at: 0) == back.count)
            #expect(back.bytes.allSatisfy { $0 == 7 })
            await file.close()
        }
    }

    @Test("Overlapping operations on different ranges all take effect", arguments: backends)
    func overlapping(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            let count = 500
            await seams.scheduler.all(count) { index in
                let buffer = IOBuffer(count: 100, repeating: UInt8(truncatingIfNeeded: index))
                let failure = await reason {
                    try await file.write(buffer, 0..<100, at: UInt64(index * 100), durable: index % 50 == 0)
                }
                #expect(failure == nil)
            }
            let all = IOBuffer(count: count * 100)
            #expect(try await file.read(into: all, 0..<all.count, at: 0) == all.count)
            let correct = (0..<all.count).allSatisfy { all.bytes[$0] == UInt8(truncatingIfNeeded: $0 / 100) }
            #expect(correct)
            await file.close()
        }
    }

    @Test("A closed file refuses, and closing waits for what is under way", arguments: backends)
    func close(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            let ended = Box<[String]>([])
            seams.scheduler.spawn("writer") {
                let failure = await reason {
                    try await file.write(IOBuffer(text: "abc"), 0..<3, at: 0, durable: true)
                }
                #expect(failure == nil)
                ended.value.append("write")
            }
            await Task.yield()
            await file.close()
            ended.value.append("close")
            #expect(ended.value == ["write", "close"])
            await file.close()
            #expect(await reason { _ = try await file.size() } == .closed)
            #expect(await reason { try await file.sync() } == .closed)
        }
    }

    @Test("A directory lists what is in it, through renames and removals", arguments: backends)
    func directories(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let files = seams.files
            func names(_ path: String) async throws -> [String] {
                try await files.list(path).map { $0.isDirectory ? $0.name + "/" : $0.name }.sorted()
            }
            #expect(try await names(directory) == [])
            try await files.makeDirectory("\(directory)/sub")
            try await files.makeDirectory("\(directory)/sub")
            for name in ["a", "b", "sub/c"] {
                let file = try await files.open("\(directory)/\(name)", FileMode(.mustCreate, writable: true))
                try await file.write(IOBuffer(text: name), 0..<1, at: 0, durable: false)
                await file.close()
            }
            #expect(try await names(directory) == ["a", "b", "sub/"])
            try await files.rename("\(directory)/a", to: "\(directory)/b")
            try await files.syncDirectory(directory)
            #expect(try await names(directory) == ["b", "sub/"])
            let replaced = try await files.open("\(directory)/b", FileMode(.mustExist, writable: false))
            let buffer = IOBuffer(count: 1)
            _ = try await replaced.read(into: buffer, 0..<1, at: 0)
            #expect(buffer.text(0..<1) == "a")
            await replaced.close()
            #expect(await reason { try await files.remove("\(directory)/sub") } == .exists)
            try await files.remove("\(directory)/sub/c")
            try await files.remove("\(directory)/sub")
            try await files.remove("\(directory)/b")
            #expect(try await names(directory) == [])
            #expect(await reason { try await files.remove("\(directory)/b") } == .notFound)
            #expect(await reason { _ = try await files.list("\(directory)/none") } == .notFound)
            #expect(await reason { try await files.syncDirectory("\(directory)/none") } == .notFound)
            #expect(await reason { try await files.makeDirectory("\(directory)/x/y") } == .notFound)
            #expect(try await files.freeBytes(directory) > 0)
        }
    }

    @Test("A lock is held by one, and free again once released", arguments: backends)
    func lock(_ backend: Platform.Choice) async throws {
        try await withDirectory(backend) { seams, directory in
            let lock = try await seams.files.lock("\(directory)/LOCK")
            #expect(await reason { _ = try await seams.files.lock("\(directory)/LOCK") } == .locked)
            lock.release()
            lock.release()
            let again = try await seams.files.lock("\(directory)/LOCK")
            // Whoever waits a moment for a holder that goes gets it.
            seams.scheduler.spawn("release") {
                await seams.clock.sleep(nanoseconds: 20_000_000)
                again.release()
            }
            let third = try await seams.files.lock("\(directory)/LOCK")
            third.release()
        }
    }

    @Test("A full device refuses with no space", arguments: backends)
    func noSpace(_ backend: Platform.Choice) async throws {
        try await onPlatform(backend) { seams in
            let full = try await seams.files.open("/dev/full", FileMode(.mustExist, writable: true))
            let failure = await reason { try await full.write(IOBuffer(text: "x"), 0..<1, at: 0, durable: false) }
            #expect(failure == .noSpace)
            await full.close()
        }
    }
}
