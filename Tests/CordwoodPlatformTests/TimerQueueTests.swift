import CordwoodIO
import Testing

@testable import CordwoodPlatform

@Suite("The timer queue")
struct TimerQueueTests {
    /// What the queue must do, said plainly: everything in one list, sorted when asked.
    private struct Oracle {
        var entries: [(nanoseconds: UInt64, number: UInt64)] = []

        mutating func popDue(_ now: UInt64) -> UInt64? {
            let due = entries.filter { $0.nanoseconds <= now }
            guard let first = due.min(by: { ($0.nanoseconds, $0.number) < ($1.nanoseconds, $1.number) }) else {
                return nil
            }
            entries.removeAll { $0.number == first.number }
            return first.number
        }
    }

    @Test("It agrees with a sorted list, whatever is scheduled, taken back and called")
    func agreesWithOracle() {
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        print("seed \(seed)")
        var generator = SplitMix(state: seed)
        var queue = TimerQueue()
        var oracle = Oracle()
        var called: [UInt64] = []
        var now: UInt64 = 0
        for _ in 0..<20_000 {
            switch generator.next() % 8 {
            case 0...3:
                let time = now + generator.next() % 50
                let number = Box<UInt64>(0)
                let token = queue.schedule(atNanoseconds: time) { called.append(number.value) }
                number.value = token.number
                oracle.entries.append((time, token.number))
            case 4...6:
                guard let victim = oracle.entries.randomElement(using: &generator) else { continue }
                queue.cancel(TimerToken(number: victim.number))
                oracle.entries.removeAll { $0.number == victim.number }
            default:
                now += generator.next() % 20
                while let body = queue.popDue(atNanoseconds: now) {
                    body()
                    #expect(called.last == oracle.popDue(now))
                }
                #expect(oracle.popDue(now) == nil)
            }
            #expect(queue.count == oracle.entries.count)
            #expect(queue.nextNanoseconds == oracle.entries.map(\.nanoseconds).min())
        }
        #expect(called.count > 1000)
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
