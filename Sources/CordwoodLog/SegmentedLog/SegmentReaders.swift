internal import CordwoodBase
internal import CordwoodIO

/// Open files for reading segments: a few, the least recently used ones are closed. A segment that is being read is not
/// recycled: `retire` waits for its readers.
final class SegmentReaders {
    private final class Reader {
        let file: any File
        var users = 0
        var lastUse: UInt64 = 0
        var isRetired = false
        var waiter: UnsafeContinuation<Void, Never>?

        init(file: any File) { self.file = file }
    }

    static let capacity = 8
    private let files: any FileSystem
    private var readers: [SegmentID: Reader] = [:]
    private var clock: UInt64 = 0

    init(files: any FileSystem) { self.files = files }

    /// Runs `body` with the segment's file.
    func read<Value>(
        _ segment: SegmentID, path: String, direct: Bool,
        _ body: (any File) async throws(IOError) -> Value
    ) async throws(IOError) -> Value {
        let reader = try await reader(segment, path, direct)
        do throws(IOError) {
            let value = try await body(reader.file)
            await done(reader)
            return value
        } catch {
            await done(reader)
            throw error
        }
    }

    /// The segment's reader, with the caller as one of its users: nobody closes it before the caller is done.
    private func reader(_ segment: SegmentID, _ path: String, _ direct: Bool) async throws(IOError) -> Reader {
        if let reader = readers[segment] { return use(reader) }
        let file = try await files.open(path, FileMode(.mustExist, writable: false, direct: direct))
        if let reader = readers[segment] {
            _ = use(reader)
            await file.close()
            return reader
        }
        let reader = use(Reader(file: file))
        readers[segment] = reader
        await closeSurplus(keeping: segment)
        return reader
    }

    private func use(_ reader: Reader) -> Reader {
        clock += 1
        reader.lastUse = clock
        reader.users += 1
        return reader
    }

    private func done(_ reader: Reader) async {
        reader.users -= 1
        guard reader.users == 0, reader.isRetired else { return }
        await reader.file.close()
        reader.waiter?.resume()
        reader.waiter = nil
    }

    private func closeSurplus(keeping segment: SegmentID) async {
        guard readers.count > Self.capacity else { return }
        let idle = readers.filter { $0.key != segment && $0.value.users == 0 }
        guard let oldest = idle.min(by: { ($0.value.lastUse, $0.key) < ($1.value.lastUse, $1.key) }) else { return }
        readers[oldest.key] = nil
        await oldest.value.file.close()
    }

    /// Lets a segment's file go; returns when nobody reads it any more.
    func retire(_ segment: SegmentID) async {
        guard let reader = readers.removeValue(forKey: segment) else { return }
        reader.isRetired = true
        if reader.users == 0 {
            await reader.file.close()
        } else {
            // Other work may run before the continuation exists: look again when it does.
            await withUnsafeContinuation { if reader.users == 0 { $0.resume() } else { reader.waiter = $0 } }
        }
    }

    func closeAll() async {
        for segment in readers.keys.sorted() { await retire(segment) }
    }
}
