import CordwoodBase
import CordwoodRaft
import Testing

/// Handing leadership over, with all the ways in which it fails (B26).
@Suite struct TransferTests {
    private func led(_ voters: Int = 3, learners: Int = 0, _ change: (inout RaftOptions) -> Void = { _ in }) throws
        -> Group
    {
        var group = try Group(voters, learners: learners, options: Group.options(change))
        group.campaign(1)
        group.settle()
        return group
    }

    @Test func aTargetInStepLeadsAtOnce() throws {
        var group = try led { ($0.preVote, $0.checkQuorum) = (true, true) }
        group.step(1, .transferLeadership(to: 2))
        group.settle()
        #expect(group.leader == 2 && group[2].core.term == 2 && group[1].core.leader == 2)
    }

    @Test func aTargetBehindIsBroughtUpFirst() throws {
        var group = try led()
        group.isolate(3)
        for _ in 0..<3 { group.propose(1) }
        group.settle()
        group.heal()
        group.step(1, .transferLeadership(to: 3))
        group.tick(1)
        group.settle()
        #expect(group.leader == 3 && group[3].commands == group[1].commands)
    }

    @Test func aFollowerPassesTheRequestOn() throws {
        var group = try led()
        group.step(2, .transferLeadership(to: 3))
        group.settle()
        #expect(group.leader == 3)
    }

    @Test func requestsThatMeanNothingAreIgnored() throws {
        var group = try led(3, learners: 1)
        for target in [1, 4, 9] as [ReplicaID] {
            group.step(1, .transferLeadership(to: target))
            group.settle()
            #expect(group.leader == 1 && group[1].core.transferTarget == .none)
        }
        group.isolate(3)
        group.step(3, .forgetLeader)
        group.step(3, .transferLeadership(to: 3))
        #expect(group[3].core.term == 1)
    }

    @Test func proposalsAreRefusedMeanwhileAndTakenAgainWhenItIsAbandoned() throws {
        var group = try led()
        group.isolate(3)
        group.step(1, .transferLeadership(to: 3))
        #expect(group.propose(1) == .refused(.transferring(to: 3)))
        group.tick(1, 10)
        #expect(group[1].core.transferTarget == .none && group[1].core.isLeader)
        guard case .accepted = group.propose(1) else { return #expect(Bool(false)) }
    }

    @Test func anotherTargetReplacesTheFirstAndTheSameOneChangesNothing() throws {
        var group = try led()
        group.loses = { $0.kind == .timeoutNow }
        group.step(1, .transferLeadership(to: 2))
        group.tick(1, 6)
        // Asked again for the same target, the time is not prolonged.
        group.step(1, .transferLeadership(to: 2))
        group.tick(1, 4)
        #expect(group[1].core.transferTarget == .none)
        group.loses = { _ in false }
        group.isolate(2)
        group.step(1, .transferLeadership(to: 2))
        group.step(1, .transferLeadership(to: 3))
        #expect(group[1].core.transferTarget == 3)
        group.settle()
        #expect(group.leader == 3)
    }

    @Test func removingOrDemotingTheTargetAbandonsIt() throws {
        for step in [ConfigurationChange.Step.remove(3), .addLearner(3)] {
            var group = try led()
            group.loses = { $0.kind == .timeoutNow || $0.to == 3 }
            group.propose(1, ConfigurationChange([step]))
            group.step(1, .transferLeadership(to: 3))
            #expect(group[1].core.transferTarget == 3)
            group.settle()
            #expect(group[1].core.transferTarget == .none && group[1].core.isLeader)
        }
    }

    @Test func aHigherTermEndsIt() throws {
        var group = try led()
        group.loses = { $0.kind == .timeoutNow }
        group.step(1, .transferLeadership(to: 3))
        group.campaign(2)
        group.settle()
        #expect(group.leader == 2 && group[1].core.transferTarget == .none)
    }

    // MARK: Priority

    @Test func aPreferredReplicaTakesOverWhenItIsInStepByTransferAlone() throws {
        var group = try led { ($0.preVote, $0.checkQuorum, $0.priorities) = (true, true, [3: 5]) }
        for _ in 0..<12 {
            for id in group.ids { group.tick(id) }
            group.settle()
        }
        #expect(group.leader == 3 && group[3].core.term == 2)
        for _ in 0..<40 {
            for id in group.ids { group.tick(id) }
            group.settle()
        }
        #expect(group.leader == 3 && group[3].core.term == 2)
    }

    @Test func aPreferredReplicaThatCannotTakeOverIsTriedLessAndLess() throws {
        var group = try led { ($0.preVote, $0.checkQuorum, $0.priorities) = (true, true, [3: 5]) }
        group.loses = { $0.kind == .timeoutNow }
        var attempts: [Int] = []
        for tick in 0..<400 {
            let before = group[1].core.transferTarget
            for id in group.ids { group.tick(id) }
            group.settle()
            if before == .none, group[1].core.transferTarget == 3 { attempts.append(tick) }
        }
        #expect(group.leader == 1)
        let pauses = zip(attempts, attempts.dropFirst()).map { $1 - $0 }
        #expect(attempts.count >= 3 && pauses == pauses.sorted() && pauses.last! > 2 * pauses.first!)
    }
}
