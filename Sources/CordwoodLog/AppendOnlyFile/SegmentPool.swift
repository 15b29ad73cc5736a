internal import CordwoodBase
internal import CordwoodIO
internal import CordwoodRaft

/// Ready-made files for the segments to come: zero-filled off the hot path, or recycled.
///
/// A file is `<16 hex>.tmp` while it is filled and `<16 hex>.spare` when it is ready; neither holds anything that
/// counts, and both may be removed at any time. Besides the spares for entries there is one reserve: it is handed out
/// only when no other file can be made, so that votes, truncations and checkpoints go on when the disk is full.
final class SegmentPool {
    static let fillBytes = 1 << 20

    let directory: String
    let segmentBytes: UInt64
    /// How many spares for entries are kept ready.
    let spareCount: Int
    let keepsReserve: Bool
    private let seams: Seams
    private var ready: [String] = []
    private var reserve: String?
    private var isFilling = false
    private(set) var isClosed = false
    private var idleWaiters: [UnsafeContinuation<Void, Never>] = []
    /// True since the last attempt to make a file failed for lack of space.
    private(set) var isSpaceShort = false

    init(directory: String, segmentBytes: UInt64, spareCount: Int, keepsReserve: Bool, seams: Seams) {
        self.directory = directory
        self.segmentBytes = segmentBytes
        self.spareCount = spareCount
        self.keepsReserve = keepsReserve
        self.seams = seams
    }

    /// Bytes of files that stand ready for entries.
    var readyBytes: UInt64 { UInt64(ready.count) * segmentBytes }

    /// True when a file can be had without making one.
    var hasReady: Bool { !ready.isEmpty }

    static func isSpare(_ name: String) -> Bool { isOwn(name, ".spare") }

    static func isUnfinished(_ name: String) -> Bool { isOwn(name, ".tmp") }

    private static func isOwn(_ name: String, _ suffix: String) -> Bool {
        name.hasSuffix(suffix) && SegmentName.number(name.dropLast(suffix.count)) != nil
    }

    /// Takes over what an earlier process left: whole spares are used again, the rest goes.
    func adopt(_ names: [String]) async throws(IOError) {
        for name in names.sorted() {
            let path = directory + "/" + name
            if Self.isUnfinished(name) {
                try await seams.files.remove(path)
            } else if Self.isSpare(name) {
                let file = try await seams.files.open(path, FileMode(.mustExist, writable: false))
                let size: UInt64
                do { size = try await file.size() } catch {
                    await file.close()
                    throw error
                }
                await file.close()
                if size == segmentBytes { accept(path) } else { try await seams.files.remove(path) }
            }
        }
    }

    /// A file of `segmentBytes` whose contents do not count. Makes one when none is ready; falls back to the reserve.
    func take() async throws(IOError) -> String {
        if let path = ready.popLast() { return path }
        await waitUntilIdle()
        if let path = ready.popLast() { return path }
        do {
            return try await make()
        } catch {
            guard error.reason == .noSpace, let path = reserve else { throw error }
            reserve = nil
            return path
        }
    }

    /// Gives back a file that was taken and not used.
    func giveBack(_ path: String) { accept(path) }

    /// Makes a freed segment's file a spare, or removes it when there are enough.
    func recycle(_ path: String, bytes: UInt64) async throws(IOError) {
        let wanted = ready.count < spareCount || (keepsReserve && reserve == nil)
        guard wanted, bytes == segmentBytes, !isClosed else {
            try await seams.files.remove(path)
            isSpaceShort = false
            return
        }
        let spare = newPath(".spare")
        try await seams.files.rename(path, to: spare)
        accept(spare)
    }

    /// Brings the spares and the reserve to their number, in the background.
    func refill() {
        guard !isFilling, !isClosed, needsMore else { return }
        isFilling = true
        seams.scheduler.spawn("segment zero-fill") { [self] in
            while needsMore, !isClosed {
                do { accept(try await make()) } catch { break }
            }
            isFilling = false
            let waiters = idleWaiters
            idleWaiters = []
            for waiter in waiters { waiter.resume() }
        }
    }

    func close() async {
        isClosed = true
        await waitUntilIdle()
    }

    private var needsMore: Bool { ready.count < spareCount || (keepsReserve && reserve == nil) }

    private func accept(_ path: String) {
        if keepsReserve, reserve == nil, ready.count >= spareCount { reserve = path } else { ready.append(path) }
        isSpaceShort = false
    }

    private func waitUntilIdle() async {
        guard isFilling else { return }
        // Other work may run before the continuation exists: look again when it does.
        await withUnsafeContinuation { if isFilling { idleWaiters.append($0) } else { $0.resume() } }
    }

    private func newPath(_ suffix: String) -> String { directory + "/" + hexadecimal(seams.random.next()) + suffix }

    private func make() async throws(IOError) -> String {
        do {
            let path = try await fill()
            isSpaceShort = false
            return path
        } catch {
            if error.reason == .noSpace { isSpaceShort = true }
            throw error
        }
    }

    private func fill() async throws(IOError) -> String {
        let temporary = newPath(".tmp")
        let file = try await seams.files.open(
            temporary, FileMode(.createIfMissing, writable: true, direct: true))
        do throws(IOError) {
            try await file.resize(segmentBytes)
            let zeros = IOBuffer(count: min(Self.fillBytes, Int(segmentBytes)))
            zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
            var offset: UInt64 = 0
            while offset < segmentBytes, !isClosed {
                let count = Int(min(UInt64(zeros.count), segmentBytes - offset))
                try await file.write(zeros, 0..<count, at: offset, durable: false)
                offset += UInt64(count)
            }
            guard !isClosed else { throw IOError(.closed, operation: "fill", subject: temporary) }
            try await file.sync()
        } catch {
            await file.close()
            try? await seams.files.remove(temporary)
            throw error
        }
        await file.close()
        let spare = String(temporary.dropLast(".tmp".count)) + ".spare"
        try await seams.files.rename(temporary, to: spare)
        return spare
    }
}
