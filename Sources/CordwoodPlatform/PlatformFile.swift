internal import CLinux
internal import CUring
internal import CordwoodBase
internal import CordwoodIO
internal import Glibc

/// An open file of the machine.
final class PlatformFile: File {
    let path: String
    let isDirect: Bool
    let alignmentBytes: Int

    private let loop: EventLoop
    private let durableWrites: DurableWritePaths
    /// -1 once closed.
    private var descriptor: Int32
    /// Operations under way: the descriptor must not be closed, and its number not be used again, below them.
    private var underWay = 0
    private var waitingForQuiet: [UnsafeContinuation<Void, Never>] = []

    /// Takes over `descriptor`. `directAlignment` is nil for buffered I/O.
    init(
        _ path: String, _ descriptor: Int32, directAlignment: Int?, _ durableWrites: DurableWritePaths,
        _ loop: EventLoop
    ) {
        self.path = path
        self.durableWrites = durableWrites
        self.descriptor = descriptor
        self.loop = loop
        isDirect = directAlignment != nil
        alignmentBytes = directAlignment ?? 1
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    func size() async throws(IOError) -> UInt64 {
        let descriptor = try openDescriptor("size")
        var status = clinux_status()
        try check(clinux_file_status(descriptor, &status), "size", path)
        return status.size
    }

    func read(into buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64) async throws(IOError) -> Int {
        checkAlignment(range, offset, "read")
        let descriptor = try begin("read")
        defer { end() }
        var done = 0
        while done < range.count {
            let rest = buffer.bytes[(range.lowerBound + done)..<range.upperBound]
            let count = UInt32(min(rest.count, Int(CURING_MAX_IO_BYTES)))
            let target = UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress
            guard let target else { break }
            let from = offset + UInt64(done)
            let result = await repeated {
                await loop.perform(.read(descriptor, into: target, count: count, offset: from))
            }
            withExtendedLifetime(buffer) {}
            try check(result, "read", path)
            if result == 0 { break }
            done += Int(result)
            // Direct reads are cut within a block by the end of the file alone.
            if isDirect, done % alignmentBytes != 0 { break }
        }
        return done
    }

    func write(_ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool) async throws(IOError) {
        checkAlignment(range, offset, "write")
        let descriptor = try begin("write")
        defer { end() }
        guard durable else {
            _ = try await write(descriptor, buffer, range, at: offset, durable: false)
            return
        }
        let (way, started) = durableWrites.begin(bytes: range.count)
        if way == .atOnce {
            if try await write(descriptor, buffer, range, at: offset, durable: true) {
                durableWrites.end(way, bytes: range.count, startedNanoseconds: started)
                return
            }
            durableWrites.excludeAtOnce()
        }
        _ = try await write(descriptor, buffer, range, at: offset, durable: false)
        try await sync(descriptor)
        durableWrites.end(.writeThenSync, bytes: range.count, startedNanoseconds: started)
    }

    /// Writes all of the range. False, with nothing promised, when the file system has no durable writes.
    private func write(
        _ descriptor: Int32, _ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool
    ) async throws(IOError) -> Bool {
        var done = 0
        while done < range.count {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[range][done...])
            let count = UInt32(min(rest.count, Int(CURING_MAX_IO_BYTES)))
            guard let source = rest.baseAddress else { break }
            let to = offset + UInt64(done)
            let result = await repeated {
                await loop.perform(.write(descriptor, from: source, count: count, offset: to, durable: durable))
            }
            withExtendedLifetime(buffer) {}
            if result == -EOPNOTSUPP, durable { return false }
            try check(result, "write", path)
            guard result > 0 else { throw IOError(.device, operation: "write", subject: path) }
            if result < count { loop.shortWrites += 1 }
            // The rest of a short write goes the same way, from the last whole block on.
            done += Int(result) / alignmentBytes * alignmentBytes
        }
        return true
    }

    func sync() async throws(IOError) {
        let descriptor = try begin("sync")
        defer { end() }
        try await sync(descriptor)
    }

    private func sync(_ descriptor: Int32) async throws(IOError) {
        let result = await repeated { await loop.perform(.sync(descriptor, dataOnly: true)) }
        try check(result, "sync", path)
    }

    func resize(_ size: UInt64) async throws(IOError) {
        let descriptor = try begin("resize")
        defer { end() }
        var status = clinux_status()
        try check(clinux_file_status(descriptor, &status), "resize", path)
        let present = status.size
        if size > present {
            let result = await repeated {
                await loop.perform(.allocate(descriptor, offset: present, length: size - present))
            }
            if result != -EOPNOTSUPP {
                try check(result, "resize", path)
                return
            }
        }
        let result = await repeated { await loop.perform(.truncate(descriptor, size: size)) }
        try check(result, "resize", path)
    }

    func dropCache() async throws(IOError) {
        let descriptor = try begin("drop cache")
        defer { end() }
        let result = await repeated { await loop.perform(.forgetPages(descriptor)) }
        try check(result, "drop cache", path)
    }

    func close() async {
        guard descriptor >= 0 else { return }
        let closing = descriptor
        descriptor = -1
        if underWay > 0 {
            await withUnsafeContinuation { waitingForQuiet.append($0) }
        }
        // The descriptor is gone whatever the result; only writes and syncs say whether bytes are safe.
        if await loop.perform(.close(closing)) == -ECANCELED { Glibc.close(closing) }
    }

    private func openDescriptor(_ operation: String) throws(IOError) -> Int32 {
        guard descriptor >= 0 else { throw IOError(.closed, operation: operation, subject: path) }
        return descriptor
    }

    private func begin(_ operation: String) throws(IOError) -> Int32 {
        let descriptor = try openDescriptor(operation)
        underWay += 1
        return descriptor
    }

    private func end() {
        underWay -= 1
        guard underWay == 0, !waitingForQuiet.isEmpty else { return }
        let waiting = waitingForQuiet
        waitingForQuiet = []
        for continuation in waiting { continuation.resume() }
    }

    private func checkAlignment(_ range: Range<Int>, _ offset: UInt64, _ operation: String) {
        invariant(
            range.lowerBound % alignmentBytes == 0 && range.count % alignmentBytes == 0
                && offset % UInt64(alignmentBytes) == 0,
            "direct \(operation) of \(range) at \(offset) of \(path), alignment \(alignmentBytes)")
    }
}
