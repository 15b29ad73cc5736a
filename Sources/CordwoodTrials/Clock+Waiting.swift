import CordwoodIO

extension Clock {
    func sleep(seconds: Double) async { await sleep(nanoseconds: UInt64(max(0, seconds) * 1e9)) }

    /// Looks at a condition again and again; false when it has not come true within the time.
    @discardableResult
    func until(seconds: Double, everyMilliseconds milliseconds: UInt64 = 20, _ condition: () -> Bool) async -> Bool {
        let deadline = monotonicNanoseconds + UInt64(seconds * 1e9)
        while !condition() {
            if monotonicNanoseconds >= deadline { return false }
            await sleep(nanoseconds: milliseconds * 1_000_000)
        }
        return true
    }
}
