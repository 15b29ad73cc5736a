import CordwoodBase
import CordwoodMachine
import Testing

@testable import CordwoodNode

/// Who waits for which entry.
@Suite("Waiting proposals")
struct ProposalTableTests {
    private final class Ear: ProposalObserver {
        func proposalEnded(tag: UInt64, outcome: ProposalOutcome) {}
    }

    private let ear = Ear()

    private func waiter(_ tag: UInt64, term: Term, _ acknowledgement: Acknowledgement = .quorum) -> ProposalTable.Waiter
    {
        ProposalTable.Waiter(term: term, tag: tag, acknowledgement: acknowledgement, observer: ear)
    }

    /// B20: another entry that came to stand at the index answers nobody.
    @Test func anEntryOfAnotherTermAtTheIndexDoesNotAnswer() {
        var table = ProposalTable()
        table.insert(waiter(1, term: 3), at: 10)
        #expect(table.take(10, term: 4) == nil)
        #expect(table.take(10, term: 3)?.tag == 1)
        #expect(table.take(10, term: 3) == nil)
        #expect(table.count == 0)
    }

    @Test func onlyProposalsOfTheTermAreAbortedAndInTheirOrder() {
        var table = ProposalTable()
        for index in 5...9 as ClosedRange<UInt64> {
            table.insert(waiter(index, term: index < 8 ? 2 : 3), at: RaftIndex(index))
        }
        #expect(table.takeAll(in: 6..<10, term: 2).map(\.tag) == [6, 7])
        #expect(table.takeAll().map(\.tag) == [5, 8, 9])
    }

    @Test func durabilityAnswersOnlyThoseWhoAskedForIt() {
        var table = ProposalTable()
        table.insert(waiter(1, term: 1), at: 1)
        table.insert(waiter(2, term: 1, .durable), at: 2)
        #expect(table.takeDurable(1) == nil)
        #expect(table.takeDurable(2)?.tag == 2)
        #expect(table.take(1, term: 1)?.tag == 1)
    }

    @Test func growsPastItsFirstSizeAndKeepsEverybody() {
        var table = ProposalTable()
        for index in 1...5000 as ClosedRange<UInt64> { table.insert(waiter(index, term: 1), at: RaftIndex(index)) }
        for index in 1...5000 as ClosedRange<UInt64> {
            #expect(table.take(RaftIndex(index), term: 1)?.tag == index)
        }
        #expect(table.count == 0)
    }
}
