import CordwoodBase
import CordwoodIO
import CordwoodVirtual
import Testing

@testable import CordwoodSimulation

/// The checker decides by one comparison an operation. Here it is compared with a search for an order, which needs no
/// argument, over small histories drawn from a seed: some that a log really made, some that were spoilt.
@Suite("Linearizability")
struct LinearizabilityTests {
    /// An operation of a history over one log: an append that says how many were before it, or whoever saw so many.
    struct Operation: Hashable {
        var called: Int
        /// `nil`: it was never answered.
        var answered: Int?
        var isAppend: Bool
        var count: UInt64

        var place: UInt64 { isAppend ? 2 * count + 1 : 2 * count }
    }

    /// Whether some order of all operations explains their answers and keeps to their times.
    func isExplained(_ operations: [Operation], length: UInt64 = 0) -> Bool {
        guard !operations.isEmpty else { return true }
        for (position, operation) in operations.enumerated() {
            let isFirst = !operations.contains { other in other.answered.map { $0 < operation.called } ?? false }
            guard isFirst, operation.count == length else { continue }
            var rest = operations
            rest.remove(at: position)
            if isExplained(rest, length: operation.isAppend ? length + 1 : length) { return true }
        }
        return false
    }

    func judgement(of operations: [Operation]) -> Violation? {
        let judge = Judge()
        let checker = LinearizabilityChecker(judge)
        let subject = LinearizabilityChecker.Subject.partition(0)
        var calls: [Int: LinearizabilityChecker.Call] = [:]
        let last = operations.flatMap { [$0.called, $0.answered ?? 0] }.max() ?? 0
        for time in 0...last {
            for (number, operation) in operations.enumerated() where operation.called == time {
                calls[number] = checker.begin(subject)
            }
            for (number, operation) in operations.enumerated() where operation.answered == time {
                guard let call = calls[number] else { continue }
                if operation.isAppend {
                    checker.append(call, before: operation.count, "\(operation)")
                } else {
                    checker.observe(call, operation.count, "\(operation)")
                }
            }
        }
        for (number, operation) in operations.enumerated() where operation.answered == nil {
            if let call = calls[number] { checker.found(call, before: operation.count, "\(operation)") }
        }
        return judge.violation
    }

    /// A history that a log has made: each operation takes effect at a moment between its call and its answer.
    func history(_ random: VirtualRandom) -> [Operation] {
        var operations: [Operation] = []
        let count = Int(random.next(in: 1...6))
        var length: UInt64 = 0
        for effect in (1...count).map({ $0 * 10 }) {
            let isAppend = random.chance(1, in: 2)
            let called = effect - Int(random.next(in: 1...25))
            let answered = effect + Int(random.next(in: 1...25))
            let isOpen = isAppend && random.chance(1, in: 4)
            operations.append(
                Operation(
                    called: max(0, called), answered: isOpen ? nil : answered, isAppend: isAppend, count: length))
            if isAppend { length += 1 }
        }
        return operations
    }

    @Test func findsNothingInWhatALogHasMade() {
        for seed: UInt64 in 1...500 {
            let operations = history(VirtualRandom(seed: seed))
            #expect(judgement(of: operations) == nil, "seed \(seed): \(operations)")
        }
    }

    @Test func agreesWithTheSearchForAnOrderOnSpoiltHistories() {
        var spoilt = 0
        for seed: UInt64 in 1...2000 {
            let random = VirtualRandom(seed: seed)
            var operations = history(random)
            // The order in which two took effect is exchanged, or somebody saw less or more than there was.
            let first = Int(random.next(below: UInt64(operations.count)))
            let second = Int(random.next(below: UInt64(operations.count)))
            if random.chance(1, in: 2), operations[first].isAppend, operations[second].isAppend {
                (operations[first].count, operations[second].count) = (
                    operations[second].count, operations[first].count
                )
            } else if !operations[first].isAppend {
                let appends = UInt64(operations.count { $0.isAppend })
                operations[first].count = random.next(below: appends + 1)
            }
            let isExplained = isExplained(operations)
            if !isExplained { spoilt += 1 }
            #expect((judgement(of: operations) == nil) == isExplained, "seed \(seed): \(operations)")
        }
        #expect(spoilt > 100)
    }

    @Test func nobodySeesAPartOfACommand() {
        let judge = Judge()
        let checker = LinearizabilityChecker(judge)
        checker.indivisible(.partition(0), 4, 3)
        checker.observe(checker.begin(.partition(0)), 4, "a read")
        checker.observe(checker.begin(.partition(0)), 7, "a read")
        #expect(judge.violation == nil)
        checker.observe(checker.begin(.partition(0)), 6, "a read")
        #expect(judge.violation?.promise == "a command takes effect as a whole")
    }
}
