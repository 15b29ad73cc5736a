internal import CLinux
internal import CordwoodIO
internal import Glibc

/// Files and directories of the machine, through whichever backend the loop has.
final class PlatformFileSystem: FileSystem {
    /// How long `lock` asks again. The kernel may hold the descriptors of a killed process for a moment, when its ring
    /// had operations under way.
    private static let lockPatienceNanoseconds: UInt64 = 500_000_000
    private static let lockRetryNanoseconds: UInt64 = 10_000_000

    private let loop: EventLoop
    private let clock: LoopClock
    private var durableWritesByDevice: [UInt64: DurableWritePaths] = [:]

    init(_ loop: EventLoop, clock: LoopClock) {
        self.loop = loop
        self.clock = clock
    }

    func open(_ path: String, _ mode: FileMode) async throws(IOError) -> any File {
        var flags = clinux_open_close_on_exec | (mode.writable ? O_RDWR : O_RDONLY)
        switch mode.existence {
        case .mustExist: break
        case .createIfMissing: flags |= O_CREAT
        case .mustCreate: flags |= O_CREAT | O_EXCL
        }
        guard mode.direct else {
            return PlatformFile(
                path, try await openDescriptor(path, flags), directAlignment: nil, DurableWritePaths(isMeasured: false),
                loop)
        }
        let descriptor: Int32
        do throws(IOError) {
            descriptor = try await openDescriptor(path, flags | clinux_open_direct)
        } catch  where error.errorNumber == EINVAL {
            // The file system refuses direct I/O. It may have made the file before it refused.
            let buffered = try await openDescriptor(path, flags & ~O_EXCL)
            return PlatformFile(path, buffered, directAlignment: nil, DurableWritePaths(isMeasured: false), loop)
        }
        do throws(IOError) {
            var status = clinux_status()
            try check(clinux_file_status(descriptor, &status), "status", path)
            return PlatformFile(
                path, descriptor, directAlignment: try directAlignment(of: descriptor, status, path),
                durableWrites(on: status), loop)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    func list(_ directory: String) async throws(IOError) -> [DirectoryEntry] {
        let result: Result<[DirectoryEntry], IOError> = await loop.blocking.call {
            do throws(IOError) {
                return .success(try PlatformFileSystem.entries(of: directory))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    func makeDirectory(_ path: String) async throws(IOError) {
        let result = await perform(path) { .makeDirectory($0, mode: 0o700) }
        guard result != -EEXIST else { return }
        try check(result, "make directory", path)
    }

    func rename(_ source: String, to target: String) async throws(IOError) {
        let from = SystemPath(source)
        let to = SystemPath(target)
        let result = await repeated { await loop.perform(.rename(from.bytes, to: to.bytes)) }
        withExtendedLifetime((from, to)) {}
        try check(result, "rename", "\(source) to \(target)")
    }

    func remove(_ path: String) async throws(IOError) {
        var result = await perform(path) { .unlink($0) }
        if result == -EISDIR { result = await perform(path) { .removeDirectory($0) } }
        try check(result, "remove", path)
    }

    func syncDirectory(_ path: String) async throws(IOError) {
        let descriptor = try await openDescriptor(path, O_RDONLY | O_DIRECTORY | clinux_open_close_on_exec)
        let result = await repeated { await loop.perform(.sync(descriptor, dataOnly: false)) }
        Glibc.close(descriptor)
        try check(result, "sync directory", path)
    }

    func freeBytes(_ path: String) async throws(IOError) -> UInt64 {
        let (result, bytes) = await loop.blocking.call {
            var bytes: UInt64 = 0
            return (clinux_free_bytes(path, &bytes), bytes)
        }
        try check(result, "free bytes", path)
        return bytes
    }

    func lock(_ path: String) async throws(IOError) -> any FileLock {
        let descriptor = try await openDescriptor(path, O_RDWR | O_CREAT | clinux_open_close_on_exec)
        let deadline = clock.monotonicNanoseconds + PlatformFileSystem.lockPatienceNanoseconds
        while true {
            let result = clinux_try_lock(descriptor)
            if result == 0 { return PlatformFileLock(descriptor) }
            guard result == -EWOULDBLOCK || result == -EINTR, clock.monotonicNanoseconds < deadline else {
                Glibc.close(descriptor)
                throw IOError(errorNumber: -result, operation: "lock", subject: path)
            }
            await clock.sleep(nanoseconds: PlatformFileSystem.lockRetryNanoseconds)
        }
    }

    private func openDescriptor(_ path: String, _ flags: Int32) async throws(IOError) -> Int32 {
        let result = await perform(path) { .open(path: $0, flags: flags, mode: 0o600) }
        try check(result, "open", path)
        return result
    }

    /// The alignment that direct I/O on an open file needs; nil, and the descriptor switched to buffered I/O, when the
    /// file system lets it be opened so but supports none.
    private func directAlignment(
        of descriptor: Int32, _ status: clinux_status, _ path: String
    ) throws(IOError) -> Int? {
        switch status.direct_offset_alignment {
        case 0:
            try check(clinux_clear_direct(descriptor), "open buffered", path)
            return nil
        case .max: return IOBuffer.alignment
        default: return Int(max(status.direct_offset_alignment, status.direct_memory_alignment))
        }
    }

    /// How durable writes are made on a file's device: asked once, and what is learned serves all of its files.
    private func durableWrites(on status: clinux_status) -> DurableWritePaths {
        let device = UInt64(status.device_major) << 32 | UInt64(status.device_minor)
        if let known = durableWritesByDevice[device] { return known }
        let isMeasured =
            loop.backendKind == .uring
            && clinux_device_writes_through(status.device_major, status.device_minor) != 1
        let paths = DurableWritePaths(isMeasured: isMeasured)
        durableWritesByDevice[device] = paths
        return paths
    }

    private func perform(_ path: String, _ operation: (UnsafePointer<CChar>) -> Operation) async -> Int32 {
        let path = SystemPath(path)
        let result = await repeated { await loop.perform(operation(path.bytes)) }
        withExtendedLifetime(path) {}
        return result
    }

    private static func entries(of directory: String) throws(IOError) -> [DirectoryEntry] {
        guard let stream = opendir(directory) else {
            throw IOError(errorNumber: errno, operation: "list", subject: directory)
        }
        defer { closedir(stream) }
        var entries: [DirectoryEntry] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." {
                let isDirectory = try isDirectory(entry.pointee.d_type, "\(directory)/\(name)")
                entries.append(DirectoryEntry(name: name, isDirectory: isDirectory))
            }
            errno = 0
        }
        guard errno == 0 else { throw IOError(errorNumber: errno, operation: "list", subject: directory) }
        return entries
    }

    /// Not every file system says what a name stands for in the directory itself.
    private static func isDirectory(_ type: UInt8, _ path: String) throws(IOError) -> Bool {
        guard Int(type) == Int(DT_UNKNOWN) else { return Int(type) == Int(DT_DIR) }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw IOError(errorNumber: errno, operation: "list", subject: path) }
        return status.st_mode & S_IFMT == S_IFDIR
    }
}

/// A lock on an open file; the kernel gives it back when the process ends.
final class PlatformFileLock: FileLock {
    private var descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { release() }

    func release() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }
}

/// Repeats an operation that was interrupted, or for which the kernel had no room just now.
func repeated(_ operation: () async -> Int32) async -> Int32 {
    while true {
        let result = await operation()
        if result != -EINTR && result != -EAGAIN { return result }
    }
}

/// Throws for a negative error number.
func check(_ result: Int32, _ operation: String, _ subject: String) throws(IOError) {
    if result < 0 { throw IOError(errorNumber: -result, operation: operation, subject: subject) }
}
