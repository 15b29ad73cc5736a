import CordwoodBase
import Testing

@testable import CordwoodNode

@Suite("The breaker towards a leader that fails this node")
struct CircuitBreakerTests {
    /// Forty ticks of patience, ten of rest.
    private var breaker = CircuitBreaker(electionTicks: 10)

    init() { breaker.watch(1, 5) }

    private mutating func fail(_ ticks: ClosedRange<UInt64>) { for tick in ticks { breaker.failed(at: tick) } }

    @Test mutating func staysClosedForAsLongAsAnElectionMayTake() {
        fail(100...139)
        #expect(breaker.state(at: 139) == .closed)
        breaker.failed(at: 140)
        #expect(breaker.state(at: 140) == .open)
        #expect(breaker.restTicks(at: 143) == 7)
    }

    @Test mutating func oneSuccessBeginsItAnew() {
        fail(100...130)
        breaker.succeeded()
        fail(131...160)
        #expect(breaker.state(at: 160) == .closed)
    }

    @Test mutating func aFailedProbeOpensItAgainAndASuccessfulOneClosesIt() {
        fail(100...140)
        #expect(breaker.state(at: 150) == .halfOpen)
        breaker.failed(at: 151)
        #expect(breaker.state(at: 152) == .open)
        #expect(breaker.state(at: 161) == .halfOpen)
        breaker.succeeded()
        #expect(breaker.state(at: 161) == .closed)
        #expect(breaker.openings == 2)
    }

    @Test mutating func anotherLeaderOrTermBeginsWithItClosed() {
        fail(100...140)
        breaker.watch(1, 5)
        #expect(breaker.state(at: 141) == .open)
        breaker.watch(2, 6)
        #expect(breaker.state(at: 141) == .closed)
    }
}
