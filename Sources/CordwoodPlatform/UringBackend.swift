internal import CLinux
internal import CUring
internal import CordwoodBase
internal import Glibc

/// Operations through io_uring: prepared as they are started, submitted together at the end of a turn with the one
/// system call that also waits.
final class UringBackend: IOBackend {
    /// User data that no operation has: completions of it are dropped.
    private static let ignored: UInt64 = 0
    /// User data of the read that waits for the inbox's wake-up.
    private static let wakeUp = UInt64.max

    private let ring: OpaquePointer
    private let blocking: BlockingCalls
    private let wakeDescriptor: Int32
    private let wakeBytes = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
    private let taken = UnsafeMutablePointer<curing_completion>.allocate(capacity: UringBackend.takenCapacity)
    private static let takenCapacity = 256

    private var busyPoll: BusyPoll
    private var wakeUpIsArmed = false
    private var hasPrepared = false
    /// A write or a sync is among what is prepared.
    private var hasPreparedWrite = false
    private var underWay = 0
    private var refused: [Completion] = []
    /// Cancellations for which the submission queue had no room yet.
    private var cancellations: [OperationToken] = []

    /// Makes the ring; it belongs to the calling thread. Fails with the error number of the kernel's refusal.
    init(
        wakeDescriptor: Int32, blocking: BlockingCalls, size: Platform.RingSize = Platform.RingSize(),
        pollLimitNanoseconds: UInt64 = 0
    ) throws(SetUpFailure) {
        var ring: OpaquePointer?
        let result = curing_create(size.submissions, size.completions, &ring)
        guard result == 0, let ring else { throw SetUpFailure(errorNumber: -result) }
        self.ring = ring
        self.blocking = blocking
        self.wakeDescriptor = wakeDescriptor
        busyPoll = BusyPoll(limitNanoseconds: pollLimitNanoseconds)
    }

    deinit {
        taken.deallocate()
        wakeBytes.deallocate()
    }

    /// Why there is no ring.
    struct SetUpFailure: Error {
        var errorNumber: Int32
    }

    var kind: Platform.Backend { .uring }
    var wantsNonblockingSockets: Bool { false }

    var counters: Platform.Counters {
        Platform.Counters(
            submissionQueueFull: curing_submission_stalls(ring),
            completionQueueOverflows: UInt64(curing_completion_overflows(ring)))
    }

    func start(_ operation: Operation, _ token: OperationToken) {
        guard let result = prepare(operation, token.bits) else {
            blocking.start(operation, token)
            return
        }
        if result == 0 {
            hasPrepared = true
            if operation.occupiesDisk { hasPreparedWrite = true }
            underWay += 1
        } else {
            refused.append(Completion(token: token, result: result))
        }
    }

    func cancel(_ token: OperationToken, descriptor: Int32) {
        cancellations.append(token)
        prepareCancellations()
    }

    func forget(_ descriptor: Int32) {}

    func submit() {
        guard hasPreparedWrite else { return }
        hasPreparedWrite = false
        curing_hand_over(ring)
    }

    func turn(waitNanoseconds: UInt64?, _ completions: inout [Completion]) {
        if !wakeUpIsArmed {
            wakeUpIsArmed = curing_prepare_read(ring, UringBackend.wakeUp, wakeDescriptor, wakeBytes, 8, 0) == 0
            hasPrepared = true
        }
        prepareCancellations()
        if !refused.isEmpty {
            completions.append(contentsOf: refused)
            refused.removeAll(keepingCapacity: true)
        }
        let mayWait = waitNanoseconds != 0 && completions.isEmpty && wakeUpIsArmed && cancellations.isEmpty
        guard mayWait || hasPrepared || underWay > 0 else { return }
        hasPrepared = false
        hasPreparedWrite = false
        if !mayWait {
            requireTaken(curing_submit(ring))
        } else if !lookFirst(waitNanoseconds) {
            wait(waitNanoseconds)
        }
        takeCompletions(&completions)
    }

    private func wait(_ nanoseconds: UInt64?) {
        requireTaken(curing_submit_and_wait(ring, nanoseconds.map { Int64(clamping: $0) } ?? -1))
    }

    private func requireTaken(_ result: Int32) {
        invariant(
            result == 0 || result == -EAGAIN || result == -EBUSY, "io_uring took no submission: errno \(-result)")
    }

    /// Where looking pays, hands over what was started and looks until something has completed, for so long as it may;
    /// false when there is still something to wait for.
    private func lookFirst(_ waitNanoseconds: UInt64?) -> Bool {
        guard (waitNanoseconds ?? .max) > busyPoll.limitNanoseconds else { return false }
        let start = LoopClock.monotonicNanoseconds
        guard busyPoll.isWorthwhile(atNanoseconds: start) else { return false }
        requireTaken(curing_submit(ring))
        var last = start
        while curing_look(ring) == 0 {
            sched_yield()
            let now = LoopClock.monotonicNanoseconds
            if now - last >= BusyPoll.lateNanoseconds {
                busyPoll.cameLate(byNanoseconds: now - last)
                return curing_look(ring) != 0
            }
            if now - start >= busyPoll.limitNanoseconds {
                busyPoll.missed()
                return false
            }
            last = now
        }
        busyPoll.found()
        return true
    }

    /// The read that waits for a wake-up is still with the kernel. It ends with the loop's thread, and whoever gives
    /// back this backend's memory has joined that thread.
    func close() { curing_destroy(ring) }

    private func prepareCancellations() {
        while let token = cancellations.last, curing_prepare_cancel(ring, UringBackend.ignored, token.bits) == 0 {
            cancellations.removeLast()
            hasPrepared = true
        }
    }

    private func takeCompletions(_ completions: inout [Completion]) {
        while true {
            let count = Int(curing_take_completions(ring, taken, UInt32(UringBackend.takenCapacity)))
            for index in 0..<count {
                let completion = taken[index]
                switch completion.user_data {
                case UringBackend.ignored: break
                case UringBackend.wakeUp: wakeUpIsArmed = false
                default:
                    underWay -= 1
                    completions.append(
                        Completion(token: OperationToken(bits: completion.user_data), result: completion.result))
                }
            }
            if count < UringBackend.takenCapacity { return }
        }
    }

    /// 0, or a negative error number when the ring takes nothing now; nil for what this ring has no operation for.
    private func prepare(_ operation: Operation, _ id: UInt64) -> Int32? {
        switch operation {
        case .none: curing_prepare_nop(ring, id)
        case .open(let path, let flags, let mode): curing_prepare_open(ring, id, path, flags, mode)
        case .close(let descriptor): curing_prepare_close(ring, id, descriptor)
        case .read(let descriptor, let into, let count, let offset):
            curing_prepare_read(ring, id, descriptor, into, count, offset)
        case .write(let descriptor, let from, let count, let offset, let durable):
            curing_prepare_write(ring, id, descriptor, from, count, offset, durable ? clinux_write_durable : 0)
        case .sync(let descriptor, let dataOnly): curing_prepare_sync(ring, id, descriptor, dataOnly ? 1 : 0)
        case .allocate(let descriptor, let offset, let length):
            curing_prepare_allocate(ring, id, descriptor, 0, offset, length)
        case .makeDirectory(let path, let mode): curing_prepare_make_directory(ring, id, path, mode)
        case .rename(let source, let target): curing_prepare_rename(ring, id, source, target)
        case .unlink(let path): curing_prepare_unlink(ring, id, path, 0)
        case .removeDirectory(let path): curing_prepare_unlink(ring, id, path, 1)
        case .accept(let descriptor): curing_prepare_accept(ring, id, descriptor)
        case .connect(let descriptor, let address):
            curing_prepare_connect(ring, id, descriptor, address, address.pointee.length)
        case .receive(let descriptor, let into, let count):
            curing_prepare_receive(ring, id, descriptor, into, count)
        case .send(let descriptor, let from, let count): curing_prepare_send(ring, id, descriptor, from, count)
        case .waitReadable(let descriptor): curing_prepare_wait_readable(ring, id, descriptor)
        case .truncate, .forgetPages: nil
        }
    }
}
