internal import CordwoodIO

/// Calls that are to be made at a time: earliest first, those of one time in the order of their scheduling.
///
/// A binary heap of (time, number). A call that was taken back leaves its place in the heap until it comes up, or until
/// such places are the greater part.
struct TimerQueue {
    private struct Place {
        var nanoseconds: UInt64
        var number: UInt64

        func precedes(_ other: Place) -> Bool {
            nanoseconds != other.nanoseconds ? nanoseconds < other.nanoseconds : number < other.number
        }
    }

    private var heap: [Place] = []
    private var bodies: [UInt64: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    var isEmpty: Bool { bodies.isEmpty }
    var count: Int { bodies.count }

    /// The earliest time at which a call is to be made.
    var nextNanoseconds: UInt64? {
        mutating get {
            dropCancelled()
            return heap.first?.nanoseconds
        }
    }

    mutating func schedule(atNanoseconds nanoseconds: UInt64, _ body: @escaping () -> Void) -> TimerToken {
        lastNumber += 1
        bodies[lastNumber] = body
        heap.append(Place(nanoseconds: nanoseconds, number: lastNumber))
        siftUp(heap.count - 1)
        return TimerToken(number: lastNumber)
    }

    mutating func cancel(_ token: TimerToken) {
        guard bodies.removeValue(forKey: token.number) != nil else { return }
        if heap.count > 64, heap.count > bodies.count * 2 { rebuild() }
    }

    /// Takes out the next call that is due.
    mutating func popDue(atNanoseconds now: UInt64) -> (() -> Void)? {
        dropCancelled()
        guard let first = heap.first, first.nanoseconds <= now else { return nil }
        removeFirst()
        return bodies.removeValue(forKey: first.number)
    }

    private mutating func dropCancelled() {
        while let first = heap.first, bodies[first.number] == nil { removeFirst() }
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func rebuild() {
        heap.removeAll { bodies[$0.number] == nil }
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].precedes(heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in (2 * index + 1)...(2 * index + 2) where child < heap.count {
                if heap[child].precedes(heap[least]) { least = child }
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
