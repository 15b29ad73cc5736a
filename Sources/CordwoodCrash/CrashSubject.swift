public import CordwoodIO

/// What is killed again and again: something that works in a directory, and that can tell, when it is opened again,
/// whether all that it had acknowledged is there.
public protocol CrashSubject: Sendable {
    /// Lives once. Opens the directory, judges what it finds by what the ledger tells of the lives before, tells what
    /// it found, and works until it is killed or has done `operations`.
    ///
    /// Throws `CrashViolation`, or any other error that breaks a promise; `StoreFailed` when the store said in good
    /// order that it can do no more, `OpeningRefused` when it would not open.
    func live(in directory: String, _ life: CrashLife, seams: Seams) async throws
}

/// One life: what it is to do, and whom to tell.
public struct CrashLife {
    public var seed: UInt64
    /// How many operations it may do; 0 opens, judges and closes.
    public var operations: Int
    public var ledger: Ledger
    /// A file that fills the disk, if there is one: a subject that finds the disk full removes it once it has seen what
    /// it wanted to see, and must then go on without being opened again.
    public var filler = ""
}

/// A promise was broken.
public struct CrashViolation: Error, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// The store failed and said so.
public struct StoreFailed: Error, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// The directory was not opened, for a reason that was named.
public struct OpeningRefused: Error, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}
