public import CordwoodIO

/// What is done to a disk.
public enum DiskOperationKind: String, Hashable, Sendable, CaseIterable {
    case open, read, write, sync, resize, size, dropCache
    case list, makeDirectory, rename, remove, syncDirectory, freeBytes, lock

    /// Whether the operation changes what is on the disk.
    public var changesDisk: Bool {
        switch self {
        case .write, .sync, .resize, .makeDirectory, .rename, .remove, .syncDirectory: true
        case .open, .read, .size, .dropCache, .list, .freeBytes, .lock: false
        }
    }
}

/// One operation on a disk.
public struct DiskOperation: Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1 over the life of the disk.
    public var number: Int
    public var kind: DiskOperationKind
    public var path: String
    public var offset: UInt64
    public var length: Int

    public var description: String { "\(number): \(kind) \(path) at \(offset) length \(length)" }
}

/// A fault that the disk shows when an operation fits: some operations are let through first, then so many are hit.
public struct DiskFault: Sendable {
    public enum Effect: Sendable {
        /// The operation fails. A write may have reached the disk in part; a sync lets go of pages that never did.
        case fail(IOError.Reason, errorNumber: Int32)
        /// The operation takes so much longer.
        case stall(nanoseconds: UInt64)
        /// The operation never completes.
        case hang
        /// A write or sync reports success and does nothing.
        case lie
        /// A write goes to another offset of the same file.
        case misdirect(to: UInt64)
    }

    public var kind: DiskOperationKind
    /// Hits only paths that contain this.
    public var pathContains: String
    /// Hits only operations that touch these bytes; `nil` hits any.
    public var offsets: Range<UInt64>?
    /// Operations that fit and are let through first.
    public var skip: Int
    /// Operations that are hit then; `Int.max` is all of them.
    public var times: Int
    public var effect: Effect

    public init(
        _ kind: DiskOperationKind, pathContains: String = "", offsets: Range<UInt64>? = nil, skip: Int = 0,
        times: Int = 1, _ effect: Effect
    ) {
        self.kind = kind
        self.pathContains = pathContains
        self.offsets = offsets
        self.skip = skip
        self.times = times
        self.effect = effect
    }

    func fits(_ operation: DiskOperation) -> Bool {
        guard kind == operation.kind, times > 0, pathContains.isEmpty || operation.path.contains(pathContains) else {
            return false
        }
        guard let offsets else { return true }
        return operation.offset < offsets.upperBound && operation.offset + UInt64(operation.length) > offsets.lowerBound
    }

    /// EIO.
    public static func inputOutputError(
        _ kind: DiskOperationKind, pathContains: String = "", skip: Int = 0, times: Int = 1
    ) -> DiskFault {
        DiskFault(
            kind, pathContains: pathContains, skip: skip, times: times, .fail(.device, errorNumber: 5))
    }

    /// ENOSPC.
    public static func noSpace(
        _ kind: DiskOperationKind, pathContains: String = "", skip: Int = 0, times: Int = 1
    ) -> DiskFault {
        DiskFault(
            kind, pathContains: pathContains, skip: skip, times: times, .fail(.noSpace, errorNumber: 28))
    }
}

/// A moment at which the power may fail: an operation has been handed to the disk, or has come back from it.
public struct CrashPoint: Sendable {
    public enum Side: Hashable, Sendable {
        case submitted
        case completed
    }

    public var operation: DiskOperation
    public var side: Side
    /// The disk at that moment, with all that is pending.
    public var image: DiskImage
}
