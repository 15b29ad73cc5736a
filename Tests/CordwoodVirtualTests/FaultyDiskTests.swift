import CordwoodIO
import CordwoodVirtual
import Testing

@Suite("A faulty disk")
struct FaultyDiskTests {
    @Test("shows every write at once and keeps it through a clean stop")
    func readsWhatWasWritten() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 1000), 0..<1000, at: 500, durable: false)
            let buffer = IOBuffer(count: 2000)
            #expect(try await file.size() == 1500)
            #expect(try await file.read(into: buffer, 0..<2000, at: 0) == 1500)
            #expect(buffer[0..<500].allSatisfy { $0 == 0 })
            #expect(buffer[500..<1500].allSatisfy { $0 == 1 })
        }
        #expect(world.disk.image.flushed().contents("/a")?.count == 1500)
    }

    @Test("loses a file whose directory was not synced, with everything in it")
    func losesUnsyncedNames() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
        }
        let states = world.disk.image.crashStates()
        #expect(states.isExhaustive)
        #expect(Set(states.map(\.paths)) == [[], ["/a"]])
    }

    @Test("keeps what was durable in every crash state")
    func keepsDurableData() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 2048), 0..<2048, at: 0, durable: true)
            try await file.write(filled(2, 1024), 0..<1024, at: 2048, durable: false)
            try await file.sync()
            try await file.write(filled(3, 1024), 0..<1024, at: 1024, durable: false)
        }
        let states = world.disk.image.crashStates()
        #expect(states.pendingUnits == 2)
        for state in states {
            let bytes = try #require(state.contents("/a"))
            #expect(bytes[0..<1024].allSatisfy { $0 == 1 })
            #expect(bytes[2048..<3072].allSatisfy { $0 == 2 })
        }
    }

    @Test("loses, keeps, tears and garbles every sector that was not synced, each apart from the others")
    func enumeratesSectorSubsets() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 1536), 0..<1536, at: 0, durable: true)
            try await file.write(filled(2, 1536), 0..<1536, at: 0, durable: false)
        }
        var seen: Set<[UInt8]> = []
        var garbled = 0
        for state in world.disk.image.crashStates() {
            let bytes = try #require(state.contents("/a"))
            let sectors = (0..<3).map { Set(bytes[$0 * 512..<$0 * 512 + 512]) }
            if sectors.allSatisfy({ $0 == [1] || $0 == [2] }) {
                seen.insert(sectors.flatMap { $0 })
            } else {
                garbled += 1
            }
        }
        #expect(seen.count == 8)
        #expect(garbled == 6)
    }

    @Test("treats 4096 bytes as one unit when its sectors are that large")
    func respectsLargeSectors() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 8192), 0..<8192, at: 0, durable: false)
        }
        let image = world.disk.image
        #expect(image.crashStates(sectorBytes: 4096).pendingUnits == 3)
        #expect(image.crashStates(limit: 100, sectorBytes: 512).pendingUnits == 17)
        #expect(image.crashStates(limit: 100, sectorBytes: 512).count == 100)
    }

    @Test("keeps a longer or the shorter length when the change was not synced")
    func losesLengths() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 1024), 0..<1024, at: 0, durable: true)
            try await file.resize(512)
            try await file.resize(2048)
        }
        let states = try world.disk.image.crashStates().map { try #require($0.contents("/a")) }
        #expect(Set(states.map(\.count)) == [1024, 512, 2048])
        for bytes in states where bytes.count == 2048 { #expect(bytes[512...].allSatisfy { $0 == 0 }) }
    }

    @Test("vouches in a sync only for writes that had returned before it began")
    func syncCoversReturnedWritesOnly() throws {
        let world = VirtualWorld(seed: 3)
        world.disk.inject(DiskFault(.write, skip: 1, .stall(nanoseconds: 1_000_000)))
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
            try await seams.files.syncDirectory("/")
            seams.scheduler.spawn("slow write") {
                do { try await file.write(filled(2, 512), 0..<512, at: 0, durable: false) } catch {
                    Issue.record(error)
                }
            }
            try await file.sync()
            await seams.clock.sleep(nanoseconds: 2_000_000)
        }
        let seen = Set(world.disk.image.crashStates().compactMap { $0.contents("/a")?.first })
        #expect(seen.isSuperset(of: [1, 2]))
    }

    @Test("never shows what a failed write left behind over what was written there and synced later")
    func failedWriteIsSuperseded() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let world = VirtualWorld(seed: seed)
            world.disk.inject(.inputOutputError(.write))
            try world.run { seams in
                let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
                try await seams.files.syncDirectory("/")
                await #expect(throws: IOError.self) {
                    try await file.write(filled(1, 1024), 0..<1024, at: 0, durable: false)
                }
                try await file.write(filled(2, 1024), 0..<1024, at: 0, durable: false)
                try await file.sync()
            }
            let seen = Set(world.disk.image.crashStates().compactMap { $0.contents("/a") })
            #expect(seen == [[UInt8](repeating: 2, count: 1024)], "seed \(seed)")
        }
    }

    @Test("makes nothing durable in a sync that fails, and the next sync succeeds without it")
    func failedSyncLosesPages() throws {
        var lost = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            let world = VirtualWorld(seed: seed)
            world.disk.inject(.inputOutputError(.sync))
            try world.run { seams in
                let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
                try await seams.files.syncDirectory("/")
                try await file.write(filled(1, 512), 0..<512, at: 0, durable: false)
                await #expect(throws: IOError.self) { try await file.sync() }
                try await file.sync()
                let buffer = IOBuffer(count: 512)
                _ = try await file.read(into: buffer, 0..<512, at: 0)
                #expect(buffer[0..<512].first == 1, "the cache goes on showing the page")
                try await file.dropCache()
                if try await file.read(into: buffer, 0..<512, at: 0) == 512, buffer[0..<512].first == 0 { lost += 1 }
            }
        }
        #expect(lost > 5 && lost < 35, "lost \(lost) of 40")
    }

    @Test("fails the operation that a fault names, as often as it says")
    func injectsErrors() throws {
        let world = VirtualWorld(seed: 1)
        world.disk.inject(.noSpace(.write, pathContains: "b", skip: 1, times: 2))
        try world.run { seams in
            let buffer = filled(1, 512)
            let other = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            let file = try await seams.files.open("/b", FileMode(.mustCreate, writable: true))
            var outcomes: [IOError.Reason?] = []
            for _ in 0..<4 {
                try await other.write(buffer, 0..<512, at: 0, durable: false)
                do throws(IOError) {
                    try await file.write(buffer, 0..<512, at: 0, durable: false)
                    outcomes.append(nil)
                } catch { outcomes.append(error.reason) }
            }
            #expect(outcomes == [nil, .noSpace, .noSpace, nil])
        }
        #expect(world.disk.faultsShown == 2)
    }

    @Test("can lie about a write and about a sync")
    func lies() throws {
        let world = VirtualWorld(seed: 1)
        world.disk.inject(DiskFault(.write, skip: 1, .lie))
        world.disk.inject(DiskFault(.sync, .lie))
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await seams.files.syncDirectory("/")
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
            try await file.write(filled(2, 512), 0..<512, at: 0, durable: true)
            try await file.write(filled(3, 512), 0..<512, at: 512, durable: false)
            try await file.sync()
        }
        let firsts = Set(world.disk.image.crashStates().compactMap { $0.contents("/a")?.first })
        #expect(firsts == [1])
        let counts = Set(world.disk.image.crashStates().compactMap { $0.contents("/a")?.count })
        #expect(counts == [512, 1024])
    }

    @Test("can put a write where it does not belong")
    func misdirects() throws {
        let world = VirtualWorld(seed: 1)
        world.disk.inject(DiskFault(.write, skip: 1, .misdirect(to: 0)))
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 1024), 0..<1024, at: 0, durable: true)
            try await file.write(filled(2, 512), 0..<512, at: 512, durable: true)
        }
        let bytes = try #require(world.disk.image.contents("/a"))
        #expect(bytes[0] == 2 && bytes[512] == 1)
    }

    @Test("can take a write that never completes, which a crash may still show in part")
    func hangs() throws {
        let world = VirtualWorld(seed: 1)
        world.disk.inject(DiskFault(.write, .hang))
        let error = #expect(throws: VirtualWorldError.self) {
            try world.run { seams in
                let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
                try await seams.files.syncDirectory("/")
                try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
            }
        }
        #expect(try #require(error).description.contains("write /a"))
        #expect(Set(world.disk.image.crashStates().compactMap { $0.contents("/a")?.count }) == [0, 512])
    }

    @Test("refuses to grow beyond its capacity and takes writes again when room is made")
    func fillsUp() throws {
        var options = FaultyDisk.Options()
        options.capacityBytes = 4096
        let world = VirtualWorld(seed: 1, options: options)
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.resize(4096)
            #expect(try await seams.files.freeBytes("/") == 0)
            let error = await #expect(throws: IOError.self) { try await file.resize(4097) }
            #expect(error?.reason == .noSpace)
            try await file.write(filled(1, 4096), 0..<4096, at: 0, durable: true)
            try await file.resize(1024)
            #expect(try await seams.files.freeBytes("/") == 3072)
        }
    }

    @Test("demands alignment of direct I/O")
    func demandsAlignment() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true, direct: true))
            #expect(file.isDirect)
            let error = await #expect(throws: IOError.self) {
                try await file.write(filled(1, 512), 0..<511, at: 0, durable: true)
            }
            #expect(error?.errorNumber == 22)
            try await file.write(filled(1, 512), 0..<512, at: 512, durable: true)
        }
    }

    @Test("gives a rename both or neither of its names after a crash, the old contents or the new")
    func renamesAtomically() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
        }
        try world.run { seams in
            let file = try await seams.files.open("/a.new", FileMode(.mustCreate, writable: true))
            try await file.write(filled(2, 512), 0..<512, at: 0, durable: true)
            try await seams.files.rename("/a.new", to: "/a")
        }
        let seen = Set(world.disk.image.crashStates().map { [$0.contents("/a")?.first, $0.contents("/a.new")?.first] })
        #expect(seen == [[1, nil], [1, 2], [2, nil]])
    }

    @Test("brings a removed file back when the directory was not synced")
    func resurrectsFiles() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: true)
        }
        try world.run { try await $0.files.remove("/a") }
        #expect(Set(world.disk.image.crashStates().map { $0.paths.count }) == [0, 1])
        try world.run { try await $0.files.syncDirectory("/") }
        #expect(world.disk.image.crashStates().map { $0.paths.count } == [0])
    }

    @Test("lets one holder have a lock and frees it on release")
    func locks() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { seams in
            let lock = try await seams.files.lock("/LOCK")
            let error = await #expect(throws: IOError.self) { _ = try await seams.files.lock("/LOCK") }
            #expect(error?.reason == .locked)
            lock.release()
            try await seams.files.lock("/LOCK").release()
        }
    }

    @Test("shows a crash point before and after every operation that changes something")
    func showsCrashPoints() throws {
        let world = VirtualWorld(seed: 1)
        var points: [String] = []
        world.disk.onCrashPoint = { points.append("\($0.operation.kind) \($0.side)") }
        try world.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
            try await file.write(filled(1, 512), 0..<512, at: 0, durable: false)
            try await file.sync()
        }
        #expect(
            points == [
                "open submitted", "open completed", "write submitted", "write completed", "sync submitted",
                "sync completed",
            ])
    }

    @Test("can be mounted again in another world")
    func mountsAgain() throws {
        let world = try worldWithFile { file in
            try await file.write(filled(9, 512), 0..<512, at: 0, durable: true)
        }
        let next = VirtualWorld(seed: 2, disk: world.crash())
        try next.run { seams in
            let file = try await seams.files.open("/a", FileMode(.mustExist, writable: false))
            let buffer = IOBuffer(count: 512)
            #expect(try await file.read(into: buffer, 0..<512, at: 0) == 512)
            #expect(buffer[0..<512].allSatisfy { $0 == 9 })
        }
    }

    @Test("can be damaged byte by byte without touching the copy it came from")
    func damagesImages() throws {
        var image = DiskImage()
        image.put("/d/a", [1, 2, 3, 4])
        var damaged = image
        damaged.flip("/d/a", at: 1, mask: 0x80)
        damaged.zero("/d/a", 2..<3)
        damaged.truncate("/d/a", to: 3)
        #expect(damaged.contents("/d/a") == [1, 0x82, 0])
        #expect(image.contents("/d/a") == [1, 2, 3, 4])
        damaged.remove("/d/a")
        #expect(damaged.paths.isEmpty)
    }
}

private func filled(_ value: UInt8, _ count: Int) -> IOBuffer {
    let buffer = IOBuffer(count: count)
    buffer.bytes.initializeMemory(as: UInt8.self, repeating: value)
    return buffer
}

/// A world with the durable name `/a`, and what `body` did to the file.
private func worldWithFile(_ body: @escaping (any File) async throws -> Void) throws -> VirtualWorld {
    let world = VirtualWorld(seed: 1)
    try world.run { seams in
        let file = try await seams.files.open("/a", FileMode(.mustCreate, writable: true))
        try await seams.files.syncDirectory("/")
        try await body(file)
    }
    return world
}
