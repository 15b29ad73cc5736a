import CordwoodBase
import CordwoodRaft
import Testing

/// Replication beyond the paper: windows, conflicts, stale messages, asynchronous writes, reads of the store.
@Suite struct ReplicationTests {
    /// Replica 1 leads term 1 with everyone in step at index 1.
    private func leading(_ change: (inout RaftOptions) -> Void = { _ in }) throws -> CoreProbe {
        var probe = try CoreProbe(options: Group.options(change))
        _ = probe.lead()
        for id in [2, 3] as [ReplicaID] { _ = probe.receive(probe.answer(.appendResponse, from: id, index: 1)) }
        return probe
    }

    // MARK: Flow

    @Test func proposalsOfOneTurnTravelAsOneMessage() throws {
        var probe = try leading()
        let effects = probe.propose(count: 64)
        #expect(effects.messages(.append).map(\.entryCount) == [64, 64])
        #expect(
            effects.filter { if case .append(let range, _, .proposals, _) = $0 { range == 2..<66 } else { false } }
                .count == 1)
        #expect(effects.messages(.appendResponse, to: 1).map(\.index) == [65])
    }

    @Test func aProbedPeerGetsOneMessageAtATime() throws {
        var probe = try CoreProbe()
        _ = probe.lead()
        #expect(probe.propose().messages(.append).isEmpty)
        #expect(probe.core.progress(of: 2)?.state == .probe)
        let effects = probe.receive(probe.answer(.appendResponse, from: 2, index: 1))
        #expect(probe.core.progress(of: 2)?.state == .replicate)
        #expect(effects.messages(.append, to: 2).reduce(0) { $0 + $1.entryCount } == 1)
    }

    @Test func theWindowIsNeverExceededAndOpensWithAcknowledgements() throws {
        var probe = try leading { $0.windowMessages = 3 }
        var sent = 0
        for _ in 0..<10 { sent += probe.propose().messages(.append, to: 2).count }
        #expect(sent == 3)
        #expect(probe.core.progress(of: 2)?.window.isFull == true)
        // What is next goes out as one batch, formed now.
        let effects = probe.receive(probe.answer(.appendResponse, from: 2, index: 3))
        #expect(effects.messages(.append, to: 2).filter { $0.entryCount > 0 }.map(\.entries) == [5..<12])
    }

    @Test func theWindowClosesByBytesToo() throws {
        var probe = try leading { ($0.windowMessages, $0.windowBytes) = (100, 25) }
        var sent = 0
        for _ in 0..<10 { sent += probe.propose(size: 10).messages(.append, to: 2).count }
        #expect(sent == 3)
    }

    @Test func messagesAreBoundedInBytesButCarryOneEntryAtLeast() throws {
        var probe = try leading { $0.maxAppendBytes = 25 }
        let effects = probe.propose(size: 10, count: 5)
        #expect(effects.messages(.append, to: 2).map(\.entryCount) == [2])
        let next = probe.receive(probe.answer(.appendResponse, from: 2, index: 3)).messages(.append, to: 2)
        #expect(next.filter { $0.entryCount > 0 }.map(\.entryCount) == [2, 1])
        #expect(probe.propose(size: 100).messages(.append, to: 2).map(\.entryCount) == [1])
    }

    /// B28: a whole window is lost; a heartbeat's answer brings an empty append, and its answer the rest.
    @Test func b28APeerRecoversAfterItsWholeWindowWasLost() throws {
        var group = try Group(3, options: Group.options { $0.windowMessages = 2 })
        group.campaign(1)
        group.settle()
        group.loses = { $0.kind == .append && $0.to == 2 }
        for _ in 0..<5 { group.propose(1) }
        group.settle()
        group.loses = { _ in false }
        for _ in 0..<4 {
            group.tick(1)
            group.settle()
        }
        #expect(group[2].log.entries == group[1].log.entries)
        #expect(group[2].commands == group[1].commands)
    }

    @Test func anUnreachablePeerIsProbedAndComesBackByTheNextHeartbeat() throws {
        var probe = try leading()
        _ = probe.propose()
        _ = probe.step(.unreachable(2))
        #expect(probe.core.progress(of: 2)?.state == .probe && probe.core.progress(of: 2)?.next == 2)
        let effects = probe.receive(probe.answer(.heartbeatResponse, from: 2))
        #expect(effects.messages(.append, to: 2).count == 1)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        #expect(probe.core.progress(of: 2)?.state == .replicate)
    }

    @Test func aHeartbeatTellsNoMoreCommitThanThePeerHas() throws {
        var probe = try leading()
        _ = probe.settle(probe.propose())
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        #expect(probe.core.commitIndex == 2)
        let commits = probe.tick(1).messages(.heartbeat)
        #expect(commits.map(\.to) == [2, 3] && commits.map(\.commit) == [2, 1])
    }

    @Test func uncommittedBytesAreBoundedExceptForTheCoresOwnAndConfigurationEntries() throws {
        var probe = try leading { $0.maxUncommittedBytes = 100 }
        var effects = RaftEffects()
        // One over the limit is taken when nothing else is open.
        #expect(probe.core.propose(.application, size: 150, into: &effects) == .accepted(.init(index: 2, term: 1)))
        #expect(probe.core.propose(.application, size: 1, into: &effects) == .refused(.overloaded))
        let change = ConfigurationChange([.addLearner(4)])
        #expect(probe.core.proposeChange(change, size: 20, into: &effects) == .accepted(.init(index: 3, term: 1)))
        probe.core.step(.endTurn, into: &effects)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 3))
        _ = probe.receive(probe.answer(.appendResponse, from: 3, index: 3))
        #expect(probe.core.uncommittedBytes == 0)
        #expect(probe.core.propose(.application, size: 1, into: &effects) == .accepted(.init(index: 4, term: 1)))
    }

    // MARK: Conflicts, late and stale messages

    /// B8: what a message did not verify may differ from the leader's log.
    @Test func b08AFollowerCommitsNothingBeyondWhatTheMessageVerified() throws {
        var probe = try CoreProbe(log: [1, 1, 1])
        _ = probe.receive(probe.append(term: 2, after: 1, 1, commit: 3))
        #expect(probe.core.commitIndex == 1)
        _ = probe.receive(probe.append(term: 2, after: 1, 1, count: 1, commit: 9), terms: [2])
        #expect(probe.core.commitIndex == 2 && probe.logTerms == [1, 2])
    }

    /// B9: late, repeated and short appends take nothing away.
    @Test func b09AnOldAppendDoesNotTruncateWhatCameAfterIt() throws {
        var probe = try CoreProbe()
        _ = probe.receive(probe.append(term: 1, after: 0, 0, count: 3), terms: [1, 1, 1])
        let effects = probe.receive(probe.append(term: 1, after: 0, 0, count: 1), terms: [1])
        #expect(probe.logTerms == [1, 1, 1])
        #expect(effects.messages(.appendResponse).map(\.index) == [1])
        #expect(!effects.contains { if case .append = $0 { true } else { false } })
    }

    @Test func anAppendBehindTheOwnCommitIsAcknowledgedAtCommit() throws {
        var probe = try CoreProbe()
        _ = probe.receive(probe.append(term: 1, after: 0, 0, count: 3, commit: 3), terms: [1, 1, 1])
        let answer = probe.receive(probe.append(term: 1, after: 1, 1, count: 1), terms: [1]).messages(.appendResponse)
        #expect(answer.map(\.index) == [3] && answer.map(\.isRejected) == [false])
    }

    /// B10: match never falls, and an old refusal moves nothing.
    @Test func b10StaleAnswersChangeNothing() throws {
        var probe = try leading()
        _ = probe.settle(probe.propose(count: 3))
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 4))
        #expect(probe.receive(probe.answer(.appendResponse, from: 2, index: 2)).isEmpty)
        #expect(probe.receive(probe.answer(.appendResponse, from: 2, index: 3, isRejected: true)).isEmpty)
        #expect(probe.core.progress(of: 2)?.match == 4 && probe.core.progress(of: 2)?.state == .replicate)
        // In probe, only the refusal of the message that is out counts.
        _ = probe.step(.unreachable(3))
        #expect(probe.receive(probe.answer(.appendResponse, from: 3, index: 3, isRejected: true)).isEmpty)
        #expect(probe.core.progress(of: 3)?.next == 2)
    }

    @Test func b10AnAnswerOfAnOlderTermCommitsNothing() throws {
        var probe = try CoreProbe(log: [1], term: 1)
        _ = probe.lead()
        #expect(probe.receive(probe.answer(.appendResponse, from: 2, term: 1, index: 2)).isEmpty)
        #expect(probe.core.commitIndex == 0)
        _ = probe.receive(probe.answer(.appendResponse, from: 2, term: 2, index: 2))
        #expect(probe.core.commitIndex == 2)
    }

    @Test func anAcknowledgementBeyondTheLogIsNotTaken() throws {
        var probe = try leading()
        #expect(probe.receive(probe.answer(.appendResponse, from: 2, index: 99)).isEmpty)
        #expect(probe.core.progress(of: 2)?.match == 1)
    }

    /// B27: a long divergent tail costs a round trip for each term, not for each entry.
    @Test func b27LogsThatDifferInManyEntriesMeetWithinARoundTripForEachTerm() throws {
        let common = [UInt64](repeating: 1, count: 20)
        let leader = common + (2...6).flatMap { [UInt64](repeating: $0 * 2, count: 50) }
        let follower = common + (2...6).flatMap { [UInt64](repeating: $0 * 2 - 1, count: 50) }
        let vote = Vote(term: 13, candidate: .none)
        var group = try Group(3, logs: [1: leader, 2: follower], votes: [1: vote, 2: vote, 3: vote])
        group.isolate(3)
        group.heal()
        group.campaign(1)
        var refusals = 0
        while !group.network.isEmpty {
            let packet = group.network.removeFirst()
            if packet.message.kind == .appendResponse, packet.message.isRejected, packet.message.from == 2 {
                refusals += 1
            }
            group.receive(packet)
        }
        #expect(group[2].log.entries == group[1].log.entries)
        #expect(refusals <= 6)
    }

    @Test func messagesThatNoLeaderCanHaveSentAreNotTaken() throws {
        var probe = try CoreProbe()
        // More heads than announced, falling terms, entries from the future of their sender, an index that overflows.
        #expect(probe.receive(probe.append(term: 1, after: 0, 0, count: 1), terms: [1, 1]).isEmpty)
        #expect(probe.receive(probe.append(term: 3, after: 0, 0, count: 2), terms: [3, 2]).isEmpty)
        #expect(probe.receive(probe.append(term: 1, after: 0, 0, count: 1), terms: [2]).isEmpty)
        #expect(probe.receive(probe.append(term: 1, after: RaftIndex(.max), 0, count: 1), terms: [1]).isEmpty)
        #expect(probe.receive(RaftMessage(.heartbeat, from: 2, to: 9, term: 1)).isEmpty)
        #expect(probe.receive(RaftMessage(.heartbeat, from: 2, to: 1, term: 0)).isEmpty)
        #expect(probe.receive(probe.answer(.voteResponse, from: 8, term: 5)).isEmpty)
        #expect(probe.core.term == 0 && probe.core.lastPosition.index == 0)
    }

    // MARK: Asynchronous writes

    @Test func commitDoesNotWaitForTheLeadersOwnDisk() throws {
        var probe = try leading()
        let effects = probe.propose()
        _ = probe.receive(probe.answer(.appendResponse, from: 2, index: 2))
        let committed = probe.receive(probe.answer(.appendResponse, from: 3, index: 2))
        #expect(probe.core.commitIndex == 2 && probe.core.durableIndex == 1)
        #expect(committed.handedOut.isEmpty)
        // It is handed out when it is durable here too.
        #expect(probe.settle(effects).handedOut == [2..<3])
    }

    /// B11: a tail is rewritten twice while the first write of it is under way, and looks the same again.
    @Test func b11ACompletionOfAnOlderTermMarksNothingDurable() throws {
        var probe = try CoreProbe()
        func token(_ effects: [RaftEffect]) -> DurabilityToken? {
            effects.lazy.compactMap { if case .append(_, _, _, let token) = $0 { token } else { nil } }.first
        }
        let first = token(probe.receive(probe.append(from: 2, term: 1, after: 0, 0, count: 2), terms: [1, 1]))
        _ = probe.receive(probe.append(from: 3, term: 2, after: 0, 0, count: 1), terms: [2])
        let third = token(probe.receive(probe.append(from: 2, term: 3, after: 0, 0, count: 2), terms: [1, 1]))
        #expect(probe.logTerms == [1, 1])
        _ = probe.step(.durable(try #require(first)))
        #expect(probe.core.durableIndex == 0)
        _ = probe.step(.durable(try #require(third)))
        #expect(probe.core.durableIndex == 2)
    }

    @Test func aCompletionForAnEntryThatWasRewrittenInTheSameTermMarksNothing() throws {
        var probe = try CoreProbe(log: [1])
        // The vote of term 5 vouches for the log as it is then; the leader of term 5 rewrites it.
        _ = probe.receive(probe.append(term: 2, after: 1, 1, count: 1), terms: [2])
        let vote = probe.receive(probe.voteRequest(term: 5, last: 9, 4))
        guard case .persist(_, let token) = vote.first else { return #expect(Bool(false), "\(vote)") }
        _ = probe.receive(probe.append(term: 5, after: 1, 1, count: 1), terms: [5])
        _ = probe.step(.durable(token))
        #expect(probe.core.durableIndex == 1)
    }

    @Test func b11WhatReplacesADurableTailIsNotDurableYet() throws {
        var probe = try CoreProbe(log: [1, 1, 1])
        let effects = probe.receive(probe.append(term: 2, after: 1, 1, count: 2, commit: 3), terms: [2, 2])
        #expect(probe.core.durableIndex == 1 && probe.core.commitIndex == 3)
        #expect(effects.handedOut == [1..<2])
        #expect(probe.step(.durable(probe.core.durabilityToken)).handedOut == [2..<4])
    }

    @Test func aFollowerTakesFurtherAppendsWhileAWriteIsUnderWayAndAnswersEach() throws {
        var group = try Group(3)
        group.campaign(1)
        group.settle()
        group.nodes[2]!.isDiskHeld = true
        for _ in 0..<3 { group.propose(1) }
        group.settle()
        #expect(group[2].log.entries.count == 4 && group[2].disk.entries.count == 1)
        // The first entry, and the commit that was told since, are acknowledged with the first write.
        group.finishWrites(2, 1)
        #expect(
            group.network.filter { $0.message.kind == .appendResponse && $0.message.from == 2 }.first?.message.index
                == 2)
        group.finishWrites(2)
        #expect(group.network.last { $0.message.kind == .appendResponse }?.message.index == 4)
    }

    // MARK: Reads of the store

    @Test func whatIsNotAtHandIsAskedForBeforeItIsSent() throws {
        var group = try Group(3)
        group.isolate(3)
        group.campaign(1)
        for _ in 0..<5 { group.propose(1) }
        group.settle()
        group.readsEverything = true
        group.heal()
        group.tick(1)
        group.settle()
        #expect(group[3].log.entries == group[1].log.entries)
    }

    /// B18: a leader that cannot read its own log sends nothing from it, and does not go on leading.
    @Test func b18ALeaderWhoseLogIsDamagedStepsDown() throws {
        var probe = try CoreProbe(log: [1, 1, 1], term: 1)
        let first = probe.lead()
        _ = first
        let asked = probe.receive(
            {
                var refusal = probe.answer(.appendResponse, from: 2, index: 3, isRejected: true)
                refusal.hint = 1
                refusal.logTerm = 1
                return refusal
            }())
        guard
            case .read(let ticket, 2, let from, _)? = asked.first(where: { if case .read = $0 { true } else { false } })
        else { return #expect(Bool(false), "\(asked)") }
        #expect(from == 2)
        // An answer under another ticket is for a question that is settled.
        #expect(probe.step(.readDone(ticket: ticket + 1, peer: 2, .corrupt)).isEmpty && probe.core.isLeader)
        let effects = probe.step(.readDone(ticket: ticket, peer: 2, .corrupt))
        #expect(effects.messages(.append).isEmpty && !probe.core.isLeader)
    }

    // MARK: Fate of proposals

    /// B20: what a truncation drops may still come back; only another term's entry, committed there, decides.
    @Test func b20AProposalIsAbortedOnlyWhenAnotherTermIsCommittedAtItsIndex() throws {
        var probe = try leading()
        _ = probe.propose(count: 2)
        let dropped = probe.receive(probe.append(term: 2, after: 1, 1, count: 1), terms: [2])
        #expect(!dropped.contains { if case .proposalsAborted = $0 { true } else { false } })
        // The second index is decided by what is committed there.
        let first = probe.receive(probe.append(term: 2, after: 2, 2, commit: 2))
        #expect(first.contains(.proposalsAborted(2..<3, 1)))
        let second = probe.receive(probe.append(term: 2, after: 2, 2, count: 1, commit: 3), terms: [2])
        #expect(second.contains(.proposalsAborted(3..<4, 1)))
    }

    @Test func b20AProposalThatComesBackIsNotAborted() throws {
        var probe = try leading()
        _ = probe.propose(count: 2)
        _ = probe.receive(probe.append(term: 2, after: 1, 1, count: 1), terms: [2])
        let effects = probe.receive(probe.append(term: 3, after: 1, 1, count: 2, commit: 3), terms: [1, 1])
        #expect(!effects.contains { if case .proposalsAborted = $0 { true } else { false } })
    }

    @Test func aProposalIsRefusedWithAReason() throws {
        var effects = RaftEffects()
        var probe = try CoreProbe()
        #expect(probe.core.propose(.application, size: 1, into: &effects) == .refused(.notLeader(.none)))
        _ = probe.receive(probe.append(term: 1, after: 0, 0))
        #expect(probe.core.propose(.application, size: 1, into: &effects) == .refused(.notLeader(2)))
        var forwarding = try CoreProbe(options: Group.options { $0.forwardsProposals = true })
        _ = forwarding.receive(forwarding.append(term: 1, after: 0, 0))
        #expect(forwarding.core.propose(.application, size: 1, into: &effects) == .forwarded(to: 2))
    }
}
