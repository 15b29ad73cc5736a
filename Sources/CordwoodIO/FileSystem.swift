/// Files and directories, as few verbs as the engine needs.
public protocol FileSystem: AnyObject {
    /// Opens or makes a file. A made file exists after a crash only once its directory is synced.
    func open(_ path: String, _ mode: FileMode) async throws(IOError) -> any File

    /// Names in a directory, without "." and "..", in no particular order.
    func list(_ directory: String) async throws(IOError) -> [DirectoryEntry]

    /// Makes one directory (mode 0700); succeeds when it is there already.
    func makeDirectory(_ path: String) async throws(IOError)

    /// Replaces `target`, if there is one, in one step.
    func rename(_ source: String, to target: String) async throws(IOError)

    /// Removes a file or an empty directory.
    func remove(_ path: String) async throws(IOError)

    /// Makes creations, renames and removals in this directory durable.
    func syncDirectory(_ path: String) async throws(IOError)

    /// Bytes that can still be allocated on the file system that holds `path`.
    func freeBytes(_ path: String) async throws(IOError) -> UInt64

    /// Takes the exclusive lock file at `path`, made if missing. Fails with `.locked` when another process holds it.
    func lock(_ path: String) async throws(IOError) -> any FileLock
}

/// How a file is opened.
public struct FileMode: Hashable, Sendable {
    public enum Existence: Hashable, Sendable {
        /// Fails with `.notFound` when there is none.
        case mustExist
        case createIfMissing
        /// Fails with `.exists` when there is one.
        case mustCreate
    }

    public var existence: Existence
    public var writable: Bool
    /// Asks for I/O past the page cache. A file system that refuses it still opens the file; `File.isDirect` tells.
    public var direct: Bool

    public init(_ existence: Existence, writable: Bool, direct: Bool = false) {
        self.existence = existence
        self.writable = writable
        self.direct = direct
    }
}

/// A name in a directory.
public struct DirectoryEntry: Hashable, Sendable {
    public var name: String
    public var isDirectory: Bool

    public init(name: String, isDirectory: Bool) {
        self.name = name
        self.isDirectory = isDirectory
    }
}

/// Held until released or until the process ends.
public protocol FileLock: AnyObject {
    func release()
}

/// An open file. Operations on different ranges may overlap in time; on the same range the caller serialises them.
public protocol File: AnyObject {
    var path: String { get }

    /// True when operations bypass the page cache; offsets and lengths must then be multiples of `alignmentBytes`.
    var isDirect: Bool { get }
    var alignmentBytes: Int { get }

    func size() async throws(IOError) -> UInt64

    /// Reads into `buffer[range]` from `offset` on. Returns the bytes read: fewer only at the end of the file.
    func read(into buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64) async throws(IOError) -> Int

    /// Writes all of `buffer[range]` at `offset`. With `durable` the data are durable on return, as far as the write
    /// itself goes: what was written before without `durable` is not.
    func write(_ buffer: IOBuffer, _ range: Range<Int>, at offset: UInt64, durable: Bool) async throws(IOError)

    /// Makes everything whose write has returned durable, with the metadata needed to read it back.
    func sync() async throws(IOError)

    /// Sets the length: cuts the file, or extends it with zeros, allocating blocks where the file system can.
    func resize(_ size: UInt64) async throws(IOError)

    /// Asks the system to forget cached pages of this file, so that what is read next comes from the device.
    func dropCache() async throws(IOError)

    func close() async
}
