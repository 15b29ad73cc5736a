internal import CordwoodBase
internal import CordwoodIO

/// Open files, at most a fixed number of them: the one that has not been used for longest is closed for the next. A
/// file that is in use is never closed.
final class DescriptorCache {
    private struct Slot {
        var path: String
        var file: any File
        var uses = 0
        var newer = -1
        var older = -1
        var isDoomed = false
    }

    private let files: any FileSystem
    private let capacity: Int
    private let isDirect: Bool
    private var slots: [Slot?] = []
    private var free: [Int] = []
    private var byPath: [String: Int] = [:]
    private var newest = -1
    private var oldest = -1
    private var opening = 0
    private var waiters: [UnsafeContinuation<Void, Never>] = []
    /// Most files that were open at one time.
    private(set) var peakCount = 0

    /// - Parameter isDirect: files are opened for I/O past the page cache, where the file system has that.
    init(files: any FileSystem, capacity: Int, isDirect: Bool = false) {
        self.files = files
        self.isDirect = isDirect
        self.capacity = max(1, capacity)
    }

    var count: Int { byPath.count }

    /// Runs `body` with the file open. Made anew when `mode` says so.
    func with<Value>(
        _ path: String, _ mode: FileMode = FileMode(.mustExist, writable: true),
        _ body: (any File) async throws(IOError) -> Value
    ) async throws(IOError) -> Value {
        let slot = try await acquire(path, mode)
        guard let file = slots[slot]?.file else { brokenInvariant("descriptor of \(path) vanished") }
        do throws(IOError) {
            let value = try await body(file)
            await release(slot)
            return value
        } catch {
            await release(slot)
            throw error
        }
    }

    private func acquire(_ path: String, _ mode: FileMode) async throws(IOError) -> Int {
        if let slot = byPath[path] {
            use(slot)
            return slot
        }
        while byPath.count + opening >= capacity {
            if let victim = idleOldest() {
                await close(victim)
            } else {
                await withUnsafeContinuation { waiters.append($0) }
            }
        }
        if let slot = byPath[path] {
            use(slot)
            return slot
        }
        opening += 1
        defer { opening -= 1 }
        let file = try await files.open(path, FileMode(mode.existence, writable: mode.writable, direct: isDirect))
        if let slot = byPath[path] {
            use(slot)
            await file.close()
            return slot
        }
        let slot = free.popLast() ?? slots.count
        if slot == slots.count { slots.append(nil) }
        slots[slot] = Slot(path: path, file: file)
        byPath[path] = slot
        peakCount = max(peakCount, byPath.count)
        link(slot)
        slots[slot]?.uses = 1
        return slot
    }

    private func use(_ slot: Int) {
        slots[slot]?.uses += 1
        unlink(slot)
        link(slot)
    }

    private func release(_ slot: Int) async {
        slots[slot]?.uses -= 1
        if slots[slot]?.uses == 0, slots[slot]?.isDoomed == true { await close(slot) }
        if !waiters.isEmpty { waiters.removeFirst().resume() }
    }

    /// Closes a file that is about to be removed or replaced, or that failed. Whoever uses it ends with it; the next
    /// one opens what lies under the path then.
    func forget(_ path: String) async {
        guard let slot = byPath[path] else { return }
        if slots[slot]?.uses == 0 { return await close(slot) }
        slots[slot]?.isDoomed = true
        byPath[path] = nil
    }

    func closeAll() async {
        for slot in byPath.values.sorted() where slots[slot]?.uses == 0 { await close(slot) }
    }

    private func idleOldest() -> Int? {
        var slot = oldest
        while slot >= 0 {
            if slots[slot]?.uses == 0 { return slot }
            slot = slots[slot]?.newer ?? -1
        }
        return nil
    }

    private func close(_ slot: Int) async {
        guard let closing = slots[slot] else { return }
        unlink(slot)
        if byPath[closing.path] == slot { byPath[closing.path] = nil }
        slots[slot] = nil
        free.append(slot)
        await closing.file.close()
    }

    private func link(_ slot: Int) {
        slots[slot]?.older = newest
        slots[slot]?.newer = -1
        if newest >= 0 { slots[newest]?.newer = slot }
        newest = slot
        if oldest < 0 { oldest = slot }
    }

    private func unlink(_ slot: Int) {
        guard let leaving = slots[slot] else { return }
        if leaving.newer >= 0 { slots[leaving.newer]?.older = leaving.older } else { newest = leaving.older }
        if leaving.older >= 0 { slots[leaving.older]?.newer = leaving.newer } else { oldest = leaving.newer }
    }
}
