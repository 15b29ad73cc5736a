import CordwoodIO
import Testing

/// What code above the seams may rely on, whichever machine stands behind them.
@Suite("Files behind the seams")
struct FileSystemTests {
    struct Behaviour: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let body: @Sendable (Seams, String) async throws -> Void

        init(_ description: String, _ body: @escaping @Sendable (Seams, String) async throws -> Void) {
            testDescription = description
            self.body = body
        }
    }

    @Test("behave the same on every machine", arguments: behaviours, Machine.allCases)
    func behavesAlike(_ behaviour: Behaviour, on machine: Machine) async throws {
        try await machine.run { try await behaviour.body($0, $1) }
    }

    static let behaviours = [
        Behaviour("a file that must exist is not made") { seams, directory in
            let reason = await reason {
                try await seams.files.open("\(directory)/a", FileMode(.mustExist, writable: true))
            }
            #expect(reason == .notFound)
            let listed = try await seams.files.list(directory)
            #expect(listed == [])
        },
        Behaviour("a file that must be made is not opened when it is there") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            await file.close()
            let reason = await reason {
                try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            }
            #expect(reason == .exists)
            await (try await seams.files.open("\(directory)/a", FileMode(.createIfMissing, writable: true))).close()
        },
        Behaviour("a file in a directory that is not there is not found") { seams, directory in
            let reason = await reason {
                try await seams.files.open("\(directory)/b/a", FileMode(.createIfMissing, writable: true))
            }
            #expect(reason == .notFound)
        },
        Behaviour("a write beyond the end leaves zeros between") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(7, 100), 10..<60, at: 5000, durable: false)
            #expect(try await file.size() == 5050)
            let buffer = IOBuffer(count: 6000)
            #expect(try await file.read(into: buffer, 0..<6000, at: 0) == 5050)
            #expect(buffer[0..<5000].allSatisfy { $0 == 0 })
            #expect(buffer[5000..<5050].allSatisfy { $0 == 7 })
            await file.close()
        },
        Behaviour("a read at or beyond the end gives nothing") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(7, 100), 0..<100, at: 0, durable: true)
            #expect(try await file.read(into: IOBuffer(count: 10), 0..<10, at: 100) == 0)
            #expect(try await file.read(into: IOBuffer(count: 10), 0..<10, at: 9000) == 0)
            #expect(try await file.read(into: IOBuffer(count: 10), 0..<10, at: 95) == 5)
            await file.close()
        },
        Behaviour("a file that was cut and grown again shows zeros") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(7, 8192), 0..<8192, at: 0, durable: false)
            try await file.resize(1000)
            try await file.resize(8192)
            let buffer = IOBuffer(count: 8192)
            #expect(try await file.read(into: buffer, 0..<8192, at: 0) == 8192)
            #expect(buffer[0..<1000].allSatisfy { $0 == 7 })
            #expect(buffer[1000..<8192].allSatisfy { $0 == 0 })
            await file.close()
        },
        Behaviour("direct I/O reads what buffered I/O wrote, and tells its alignment") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(7, 8192), 0..<8192, at: 0, durable: false)
            try await file.sync()
            let direct = try await seams.files.open(
                "\(directory)/a", FileMode(.mustExist, writable: true, direct: true))
            #expect(IOBuffer.alignment % direct.alignmentBytes == 0)
            let buffer = IOBuffer(count: 8192)
            #expect(try await direct.read(into: buffer, 0..<8192, at: 0) == 8192)
            #expect(buffer[0..<8192].allSatisfy { $0 == 7 })
            try await direct.write(filled(8, 4096), 0..<4096, at: 4096, durable: true)
            try await file.dropCache()
            #expect(try await file.read(into: buffer, 0..<8192, at: 0) == 8192)
            #expect(buffer[4096..<8192].allSatisfy { $0 == 8 })
            await direct.close()
            await file.close()
        },
        Behaviour("a directory that is there already may be made again") { seams, directory in
            try await seams.files.makeDirectory("\(directory)/d")
            try await seams.files.makeDirectory("\(directory)/d")
            #expect(try await seams.files.list(directory) == [DirectoryEntry(name: "d", isDirectory: true)])
            #expect(await reason { try await seams.files.makeDirectory("\(directory)/x/y") } == .notFound)
        },
        Behaviour("a list names files and directories, and nothing of a directory that is missing") {
            seams, directory in
            for name in ["a", "b"] {
                await (try await seams.files.open("\(directory)/\(name)", FileMode(.mustCreate, writable: true)))
                    .close()
            }
            try await seams.files.makeDirectory("\(directory)/c")
            let listed = try await seams.files.list(directory).sorted { $0.name < $1.name }
            #expect(listed.map(\.name) == ["a", "b", "c"])
            #expect(listed.map(\.isDirectory) == [false, false, true])
            #expect(await reason { _ = try await seams.files.list("\(directory)/x") } == .notFound)
        },
        Behaviour("a rename replaces its target, and an open file stays what it was") { seams, directory in
            let old = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await old.write(filled(1, 10), 0..<10, at: 0, durable: false)
            let new = try await seams.files.open("\(directory)/b", FileMode(.mustCreate, writable: true))
            try await new.write(filled(2, 20), 0..<20, at: 0, durable: false)
            try await seams.files.rename("\(directory)/b", to: "\(directory)/a")
            try await seams.files.syncDirectory(directory)
            #expect(try await seams.files.list(directory).map(\.name) == ["a"])
            #expect(try await old.size() == 10)
            let reopened = try await seams.files.open("\(directory)/a", FileMode(.mustExist, writable: false))
            #expect(try await reopened.size() == 20)
            for file in [old, new, reopened] { await file.close() }
            let missing = await reason { try await seams.files.rename("\(directory)/x", to: "\(directory)/y") }
            #expect(missing == .notFound)
        },
        Behaviour("a removed file is gone by name and stays readable where it is open") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 10), 0..<10, at: 0, durable: false)
            try await seams.files.remove("\(directory)/a")
            #expect(try await seams.files.list(directory) == [])
            #expect(try await file.read(into: IOBuffer(count: 10), 0..<10, at: 0) == 10)
            await file.close()
            #expect(await reason { try await seams.files.remove("\(directory)/a") } == .notFound)
        },
        Behaviour("an empty directory can be removed, a full one cannot") { seams, directory in
            try await seams.files.makeDirectory("\(directory)/d")
            await (try await seams.files.open("\(directory)/d/a", FileMode(.mustCreate, writable: true))).close()
            #expect(await reason { try await seams.files.remove("\(directory)/d") } != nil)
            try await seams.files.remove("\(directory)/d/a")
            try await seams.files.remove("\(directory)/d")
            #expect(try await seams.files.list(directory) == [])
        },
        Behaviour("a lock has one holder") { seams, directory in
            let lock = try await seams.files.lock("\(directory)/LOCK")
            #expect(await reason { _ = try await seams.files.lock("\(directory)/LOCK") } == .locked)
            lock.release()
            try await seams.files.lock("\(directory)/LOCK").release()
        },
        Behaviour("a file that was closed does nothing more") { seams, directory in
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))
            await file.close()
            await file.close()
            #expect(await reason { _ = try await file.size() } == .closed)
            #expect(await reason { try await file.sync() } == .closed)
        },
        Behaviour("a file opened for reading takes no write") { seams, directory in
            await (try await seams.files.open("\(directory)/a", FileMode(.mustCreate, writable: true))).close()
            let file = try await seams.files.open("\(directory)/a", FileMode(.mustExist, writable: false))
            #expect(await reason { try await file.write(filled(1, 10), 0..<10, at: 0, durable: false) } != nil)
            await file.close()
        },
        Behaviour("free bytes are told") { seams, directory in
            let bytes = try await seams.files.freeBytes(directory)
            #expect(bytes > 1 << 20)
        },
    ]
}

private func filled(_ value: UInt8, _ count: Int) -> IOBuffer {
    let buffer = IOBuffer(count: count)
    buffer.bytes.initializeMemory(as: UInt8.self, repeating: value)
    return buffer
}

/// The reason for which `body` fails, `nil` when it does not.
private func reason<Value>(_ body: () async throws -> Value) async -> IOError.Reason? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? IOError)?.reason
    }
}
