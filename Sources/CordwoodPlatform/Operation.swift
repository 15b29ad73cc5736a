internal import CLinux
internal import Glibc

/// One request to the kernel, as plain values. Whoever starts it keeps what its pointers name alive, and its descriptor
/// open, until it has completed.
enum Operation: @unchecked Sendable {
    /// Does nothing and completes; measures the loop itself.
    case none

    // Files.
    case open(path: UnsafePointer<CChar>, flags: Int32, mode: UInt32)
    case close(Int32)
    case read(Int32, into: UnsafeMutableRawPointer, count: UInt32, offset: UInt64)
    case write(Int32, from: UnsafeRawPointer, count: UInt32, offset: UInt64, durable: Bool)
    case sync(Int32, dataOnly: Bool)
    case allocate(Int32, offset: UInt64, length: UInt64)
    case truncate(Int32, size: UInt64)
    case forgetPages(Int32)

    // Names.
    case makeDirectory(UnsafePointer<CChar>, mode: UInt32)
    case rename(UnsafePointer<CChar>, to: UnsafePointer<CChar>)
    case unlink(UnsafePointer<CChar>)
    case removeDirectory(UnsafePointer<CChar>)

    // Sockets and others that wait for the world. These can be cancelled.
    case accept(Int32)
    case connect(Int32, UnsafePointer<clinux_address>)
    case receive(Int32, into: UnsafeMutableRawPointer, count: UInt32)
    case send(Int32, from: UnsafeRawPointer, count: UInt32)
    case waitReadable(Int32)

    /// The descriptor of an operation that waits for the world, and so can be cancelled; nil for one that ends by
    /// itself.
    var waitingDescriptor: Int32? {
        switch self {
        case .accept(let descriptor), .connect(let descriptor, _), .receive(let descriptor, _, _),
            .send(let descriptor, _, _), .waitReadable(let descriptor):
            descriptor
        default: nil
        }
    }
}

extension Operation {
    /// True for what somebody waits for until a disk has done it.
    var occupiesDisk: Bool {
        switch self {
        case .write, .sync: true
        default: false
        }
    }

    /// Does the operation with a system call of its own, on a thread that may block. Returns what the call returns, or
    /// a negative error number. Not for operations that wait for the world.
    func performBlocking() -> Int32 {
        switch self {
        case .none: 0
        case .open(let path, let flags, let mode): clinux_open(path, flags, mode)
        case .close(let descriptor): Operation.result(Glibc.close(descriptor))
        case .read(let descriptor, let into, let count, let offset):
            Operation.result(pread(descriptor, into, Int(count), off_t(offset)))
        case .write(let descriptor, let from, let count, let offset, let durable):
            Int32(clinux_write(descriptor, from, UInt(count), offset, durable ? clinux_write_durable : 0))
        case .sync(let descriptor, let dataOnly):
            Operation.result(dataOnly ? fdatasync(descriptor) : fsync(descriptor))
        case .allocate(let descriptor, let offset, let length):
            clinux_allocate(descriptor, offset, length)
        case .truncate(let descriptor, let size): Operation.result(ftruncate(descriptor, off_t(size)))
        case .forgetPages(let descriptor): clinux_forget_pages(descriptor)
        case .makeDirectory(let path, let mode): Operation.result(mkdir(path, mode))
        case .rename(let source, let target): Operation.result(Glibc.rename(source, target))
        case .unlink(let path): Operation.result(Glibc.unlink(path))
        case .removeDirectory(let path): Operation.result(rmdir(path))
        case .accept, .connect, .receive, .send, .waitReadable: -EINVAL
        }
    }

    private static func result(_ returned: Int32) -> Int32 { returned < 0 ? -errno : returned }
    private static func result(_ returned: Int) -> Int32 { returned < 0 ? -errno : Int32(returned) }
}
