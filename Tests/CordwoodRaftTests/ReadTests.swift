import CordwoodBase
import CordwoodRaft
import Testing

/// Linearizable reads: an index at or above every commit acknowledged before the read began.
@Suite struct ReadTests {
    private func leading(_ change: (inout RaftOptions) -> Void = { _ in }) throws -> CoreProbe {
        var probe = try CoreProbe(options: Group.options(change))
        _ = probe.lead()
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        return probe
    }

    private func beat(_ probe: CoreProbe, from: ReplicaID, round: UInt64) -> RaftMessage {
        var message = RaftMessage(.heartbeatResponse, from: from, to: 1, term: probe.core.term)
        message.context = round
        return message
    }

    /// B5: no read is served before a quorum has confirmed the leader after it was asked.
    @Test func b05AReadWaitsForARoundThatStartedAfterIt() throws {
        var probe = try leading()
        let old = probe.tick(1).messages(.heartbeat, to: 2)
        let asked = probe.step(.read(context: 7))
        #expect(asked.readsReady.isEmpty)
        let round = try #require(asked.messages(.heartbeat, to: 2).first?.context)
        #expect(probe.receive(beat(probe, from: 2, round: old[0].context)).readsReady.isEmpty)
        #expect(probe.receive(beat(probe, from: 2, round: round)).readsReady == [7: 1])
    }

    @Test func b05AReadAskedWhileARoundIsOutWaitsForTheNextOne() throws {
        var probe = try leading()
        let first = try #require(probe.step(.read(context: 1)).messages(.heartbeat, to: 2).first?.context)
        // No heartbeats for each read: the round that is out is waited for, and one more serves both.
        #expect(probe.step(.read(context: 2)).messages.isEmpty && probe.step(.read(context: 3)).messages.isEmpty)
        let served = probe.receive(beat(probe, from: 3, round: first))
        #expect(served.readsReady == [1: 1])
        let second = try #require(served.messages(.heartbeat, to: 2).first?.context)
        #expect(probe.receive(beat(probe, from: 2, round: second)).readsReady == [2: 1, 3: 1])
    }

    @Test func b05TheSameContextAskedAgainAfterACommitGetsTheNewIndex() throws {
        var probe = try leading()
        let first = try #require(probe.step(.read(context: 5)).messages(.heartbeat, to: 2).first?.context)
        _ = probe.receive(beat(probe, from: 2, round: first))
        _ = probe.settle(probe.propose())
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        let second = try #require(probe.step(.read(context: 5)).messages(.heartbeat, to: 2).first?.context)
        #expect(probe.receive(beat(probe, from: 2, round: first)).readsReady.isEmpty)
        #expect(probe.receive(beat(probe, from: 2, round: second)).readsReady == [5: 2])
    }

    /// B4: a new leader's commit may be behind what its predecessor acknowledged.
    @Test func b04AReadWaitsForTheFirstCommitOfTheTerm() throws {
        var group = try Group(3)
        group.campaign(1)
        group.settle()
        group.propose(1)
        // Nobody is told of the commit.
        group.loses = { $0.kind == .append && $0.entryCount == 0 }
        group.settle()
        #expect(group[1].core.commitIndex == 2 && group[2].core.commitIndex < 2)
        group.isolate(1)
        group.loses = { _ in false }
        group.campaign(2)
        for _ in 0..<4 { group.receive(group.network.removeFirst()) }
        #expect(group.leader == 2)
        let context = group.read(2)
        #expect(group[2].readsReady[context] == nil)
        group.settle()
        #expect(try #require(group[2].readsReady[context]) >= 2)
    }

    @Test func b04AGroupOfOneWaitsForItToo() throws {
        var probe = try CoreProbe(voters: [1], log: [1, 1], term: 1)
        let campaign = probe.step(.campaign)
        let won = probe.receive(campaign.messages(.voteResponse)[0])
        #expect(probe.step(.read(context: 1)).readsReady.isEmpty)
        #expect(probe.settle(won).readsReady == [1: 3])
        #expect(probe.step(.read(context: 2)).readsReady == [2: 3])
    }

    @Test func b05AnIsolatedLeaderServesNothing() throws {
        var group = try Group(3)
        group.campaign(1)
        group.settle()
        group.isolate(1)
        group.campaign(2)
        group.settle()
        group.propose(2)
        group.settle()
        let context = group.read(1)
        group.tick(1, 5)
        group.settle()
        #expect(group[1].readsReady[context] == nil)
        group.heal()
        group.tick(2)
        group.settle()
        #expect(group[1].readsFailed.contains(context))
    }

    @Test func aFollowerOrLearnerReadsByItsLeader() throws {
        var group = try Group(3, learners: 1)
        group.campaign(1)
        group.settle()
        group.propose(1)
        group.settle()
        for id in [3, 4] as [ReplicaID] {
            let context = group.read(id)
            group.settle()
            #expect(group[id].readsReady[context] == 2)
        }
    }

    @Test func aReadWithoutALeaderFailsAtOnceAndOneLostWithItFailsThen() throws {
        var probe = try CoreProbe()
        #expect(probe.step(.read(context: 1)) == [.readFailed(context: 1)])
        var leader = try leading()
        _ = leader.step(.read(context: 2))
        let effects = leader.receive(leader.append(term: 5, after: 0, 0))
        #expect(effects.contains(.readFailed(context: 2)))
    }

    // MARK: Leases

    private func leased(_ probe: inout CoreProbe) throws {
        let round = try #require(probe.tick(1).messages(.heartbeat, to: 2).first?.context)
        _ = probe.receive(beat(probe, from: 2, round: round))
    }

    @Test func aLeaseServesReadsAtOnceUntilItRunsOut() throws {
        var probe = try leading { ($0.readMode, $0.checkQuorum, $0.clockDriftPermille) = (.lease, true, 250) }
        #expect(probe.step(.read(context: 1)).readsReady.isEmpty)
        try leased(&probe)
        #expect(probe.step(.read(context: 2)).readsReady == [2: 1])
        // Ten ticks by a clock that may run a quarter apart: eight from the round's start.
        _ = probe.tick(7)
        #expect(probe.step(.read(context: 3)).readsReady == [3: 1])
        _ = probe.tick(1)
        #expect(probe.step(.read(context: 4)).readsReady.isEmpty)
    }

    /// B29: the target of a transfer may campaign against the lease, whenever the message reaches it.
    @Test func b29ALeaseIsSurrenderedBeforeATransferAndForTheRestOfTheTerm() throws {
        var probe = try leading { ($0.readMode, $0.checkQuorum) = (.lease, true) }
        try leased(&probe)
        _ = probe.step(.transferLeadership(to: 2))
        #expect(probe.step(.read(context: 1)).readsReady.isEmpty)
        for _ in 0..<3 {
            _ = probe.tick(4)
            try leased(&probe)
        }
        #expect(probe.core.isLeader && probe.core.transferTarget == .none)
        #expect(probe.step(.read(context: 2)).readsReady.isEmpty)
    }

    @Test func b29AfterARestartAReplicaIsSilentForAsLongAsALeaseMayLast() throws {
        let options = Group.options { ($0.readMode, $0.checkQuorum, $0.clockDriftPermille) = (.lease, true, 500) }
        var probe = try CoreProbe(log: [1], options: options, isRestart: true)
        #expect(probe.tick(15).messages.isEmpty)
        #expect(probe.receive(probe.voteRequest(term: 9, last: 9, 9)).isEmpty)
        _ = probe.tick(1)
        #expect(probe.receive(probe.voteRequest(term: 9, last: 9, 9)).messages(.voteResponse).count == 1)
    }

    @Test func underLeasesTheLeaderIsNotForgotten() throws {
        var probe = try CoreProbe(options: Group.options { ($0.readMode, $0.checkQuorum) = (.lease, true) })
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        _ = probe.step(.forgetLeader)
        #expect(probe.core.leader == 2)
    }
}
