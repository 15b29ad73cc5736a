import CordwoodBase
public import CordwoodIO

/// Time that moves only when nothing is left to do, and then straight to the next thing that is due.
public final class VirtualClock: Clock {
    public private(set) var monotonicNanoseconds: UInt64 = 1_000_000_000

    /// What the wall clock says beyond the monotonic one; tests move it to make the wall clock jump.
    public var wallOffsetMicroseconds: Int64 = 1_700_000_000_000_000

    public var wallMicroseconds: Int64 { Int64(monotonicNanoseconds / 1_000) + wallOffsetMicroseconds }

    /// A place in the heap, without references: moving one costs nothing but the copy.
    private struct Timer {
        let deadline: UInt64
        let number: UInt64

        func isBefore(_ other: Timer) -> Bool { (deadline, number) < (other.deadline, other.number) }
    }

    /// A binary heap, the earliest first; of two equally early ones the one scheduled first. Timers that were cancelled
    /// stay in it until they come up.
    private var heap: [Timer] = []
    /// What is to be called, by the timer's number.
    private var bodies: [UInt64: () -> Void] = [:]
    private var nextNumber: UInt64 = 1

    init() {}

    public func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        let timer = Timer(deadline: nanoseconds, number: nextNumber)
        nextNumber += 1
        bodies[timer.number] = body
        heap.append(timer)
        siftUp(heap.count - 1)
        return TimerToken(number: timer.number)
    }

    public func cancel(_ timer: TimerToken) { bodies[timer.number] = nil }

    /// When the next timer is due, if there is one.
    var nextDeadline: UInt64? {
        while let first = heap.first, bodies[first.number] == nil { removeFirst() }
        return heap.first?.deadline
    }

    /// Moves on to the next deadline and calls what is due then. False when nothing is scheduled.
    func advanceToNextTimer(trace: Trace) -> Bool {
        guard let deadline = nextDeadline else { return false }
        let timer = heap[0]
        removeFirst()
        let body = bodies.removeValue(forKey: timer.number)
        monotonicNanoseconds = max(monotonicNanoseconds, deadline)
        trace.record("timer", monotonicNanoseconds, timer.number)
        body?()
        return true
    }

    /// Moves on to a moment before which nothing is due.
    func advance(to nanoseconds: UInt64) {
        invariant(
            nextDeadline.map { $0 >= nanoseconds } ?? true, "time passes \(nanoseconds) with a timer due before it")
        monotonicNanoseconds = max(monotonicNanoseconds, nanoseconds)
    }

    private func siftUp(_ start: Int) {
        let timer = heap[start]
        var position = start
        while position > 0 {
            let parent = (position - 1) / 2
            guard timer.isBefore(heap[parent]) else { break }
            heap[position] = heap[parent]
            position = parent
        }
        heap[position] = timer
    }

    private func removeFirst() {
        guard let timer = heap.popLast(), !heap.isEmpty else { return }
        var position = 0
        while true {
            var child = 2 * position + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(timer) else { break }
            heap[position] = heap[child]
            position = child
        }
        heap[position] = timer
    }
}
