/// How operations reach the kernel: through io_uring, or through plain system calls.
///
/// Belongs to the loop's thread. An operation that was started completes exactly once, in a later `turn`, or through
/// the inbox.
protocol IOBackend: AnyObject {
    var kind: Platform.Backend { get }

    /// Sockets are made non-blocking for a backend that asks readiness, and blocking for one whose kernel side waits.
    var wantsNonblockingSockets: Bool { get }

    func start(_ operation: Operation, _ token: OperationToken)

    /// Makes an operation that waits on `descriptor` complete soon, with -ECANCELED unless it was faster.
    func cancel(_ token: OperationToken, descriptor: Int32)

    /// The descriptor of a socket is about to be closed; no operation on it is under way.
    func forget(_ descriptor: Int32)

    /// Hands over what was started if a disk is to write: it works while the loop does. Nothing completes here.
    func submit()

    /// Hands over what was started and appends what has completed. Waits for something to complete, for the inbox's
    /// wake-up or for the time to run out: not at all for 0 nanoseconds, without limit for nil.
    func turn(waitNanoseconds: UInt64?, _ completions: inout [Completion])

    /// Sees what has completed, wherever it was done, before anybody else hears of it.
    func review(_ completions: inout [Completion])

    /// Counts since the start.
    var counters: Platform.Counters { get }

    /// Gives back what the kernel holds; no operation is under way.
    func close()
}

extension IOBackend {
    func review(_ completions: inout [Completion]) {}
}
