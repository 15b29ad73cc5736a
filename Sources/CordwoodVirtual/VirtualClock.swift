import CordwoodBase
public import CordwoodIO

/// Time that moves only when nothing is left to do, and then straight to the next thing that is due.
public final class VirtualClock: Clock {
    public private(set) var monotonicNanoseconds: UInt64 = 1_000_000_000

    /// What the wall clock says beyond the monotonic one; tests move it to make the wall clock jump.
    public var wallOffsetMicroseconds: Int64 = 1_700_000_000_000_000

    public var wallMicroseconds: Int64 { Int64(monotonicNanoseconds / 1_000) + wallOffsetMicroseconds }

    private struct Timer {
        let deadline: UInt64
        let number: UInt64
        let body: () -> Void

        func isBefore(_ other: Timer) -> Bool { (deadline, number) < (other.deadline, other.number) }
    }

    /// A binary heap, the earliest first; of two equally early ones the one scheduled first.
    private var heap: [Timer] = []
    private var live: Set<UInt64> = []
    private var nextNumber: UInt64 = 1

    init() {}

    public func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        let timer = Timer(deadline: nanoseconds, number: nextNumber, body: body)
        nextNumber += 1
        live.insert(timer.number)
        heap.append(timer)
        siftUp(heap.count - 1)
        return TimerToken(number: timer.number)
    }

    public func cancel(_ timer: TimerToken) { live.remove(timer.number) }

    /// When the next timer is due, if there is one.
    var nextDeadline: UInt64? {
        while let first = heap.first, !live.contains(first.number) { removeFirst() }
        return heap.first?.deadline
    }

    /// Moves on to the next deadline and calls what is due then. False when nothing is scheduled.
    func advanceToNextTimer(trace: Trace) -> Bool {
        guard let deadline = nextDeadline else { return false }
        let timer = heap[0]
        removeFirst()
        live.remove(timer.number)
        monotonicNanoseconds = max(monotonicNanoseconds, deadline)
        trace.record("timer", monotonicNanoseconds, timer.number)
        timer.body()
        return true
    }

    /// Moves on to a moment before which nothing is due.
    func advance(to nanoseconds: UInt64) {
        invariant(
            nextDeadline.map { $0 >= nanoseconds } ?? true, "time passes \(nanoseconds) with a timer due before it")
        monotonicNanoseconds = max(monotonicNanoseconds, nanoseconds)
    }

    private func siftUp(_ start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / 2
            guard heap[position].isBefore(heap[parent]) else { return }
            heap.swapAt(position, parent)
            position = parent
        }
    }

    private func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var position = 0
        while true {
            var earliest = position
            for child in [2 * position + 1, 2 * position + 2] where child < heap.count {
                if heap[child].isBefore(heap[earliest]) { earliest = child }
            }
            if earliest == position { return }
            heap.swapAt(position, earliest)
            position = earliest
        }
    }
}
