import CordwoodBase
import CordwoodNode
import CordwoodRaft
import Testing

@testable import CordwoodSimulation

/// Each checker is shown a history in which its promise is broken, next to one in which it is not.
@Suite("Checkers of the simulation")
struct CheckerTests {
    let judge = Judge()
    let stream = SimulatedStream(partition: 3, number: 1)

    /// What was found wrong, by the promise's name.
    var broken: String? { judge.violation?.promise }

    // MARK: What is applied and stored

    @Test func replicasThatApplyDifferentEntries() {
        let checker = AgreementChecker(judge)
        #expect(checker.applied(0, 1, raftIndex: 5, term: 1, digest: 7, events: 1, on: "a"))
        #expect(!checker.applied(0, 1, raftIndex: 5, term: 1, digest: 7, events: 1, on: "b"))
        #expect(broken == nil)
        checker.applied(0, 1, raftIndex: 5, term: 1, digest: 8, events: 1, on: "c")
        #expect(broken == "replicas apply the same entries")
    }

    @Test func aPartitionWithAGap() {
        let checker = AgreementChecker(judge)
        checker.applied(0, 1, raftIndex: 5, term: 1, digest: 7, events: 1, on: "a")
        checker.applied(0, 3, raftIndex: 6, term: 1, digest: 7, events: 1, on: "a")
        #expect(broken == "partitions are gapless")
    }

    @Test func aPartitionInAnotherOrderThanTheLog() {
        let checker = AgreementChecker(judge)
        checker.applied(0, 1, raftIndex: 5, term: 2, digest: 7, events: 1, on: "a")
        checker.applied(0, 2, raftIndex: 4, term: 2, digest: 7, events: 1, on: "a")
        #expect(broken == "partitions keep the log's order")
    }

    @Test func anEventThatIsStoredTwice() {
        let checker = ExactlyOnceChecker(judge)
        checker.stored(9, at: .init(stream: stream, sequence: 0, version: 0))
        #expect(broken == nil)
        checker.stored(9, at: .init(stream: stream, sequence: 1, version: 1))
        #expect(broken == "an event is stored once")
    }

    @Test func aVersionThatIsLeftOut() {
        let checker = ExactlyOnceChecker(judge)
        checker.stored(9, at: .init(stream: stream, sequence: 0, version: 1))
        #expect(broken == "sequences and versions are gapless")
    }

    @Test func aCommandOfWhichAPartIsStored() {
        let checker = ExactlyOnceChecker(judge)
        checker.stored(9, at: .init(stream: stream, sequence: 0, version: 0))
        #expect(!checker.isStored(20..<22))
        #expect(broken == nil)
        _ = checker.isStored(9..<11)
        #expect(broken == "a command is executed whole")
    }

    // MARK: What was acknowledged

    @Test func anAnswerThatNamesAnotherPlace() {
        let stored = ExactlyOnceChecker(judge)
        let checker = AcknowledgementChecker(judge, stored)
        stored.stored(9, at: .init(stream: stream, sequence: 0, version: 0))
        checker.acknowledge(9..<10, sequence: 0, version: 0)
        #expect(broken == nil)
        checker.acknowledge(9..<10, sequence: 1, version: nil)
        #expect(broken == "an acknowledged command is where its answer says")
    }

    @Test func aDeniedCommandThatIsExecuted() {
        let stored = ExactlyOnceChecker(judge)
        let checker = AcknowledgementChecker(judge, stored)
        checker.deny(9..<10, "busy")
        checker.finish()
        #expect(broken == nil)
        stored.stored(9, at: .init(stream: stream, sequence: 0, version: 0))
        checker.finish()
        #expect(broken == "what is denied is never executed")
    }

    @Test func aReplicaThatLacksAnEvent() {
        let stored = ExactlyOnceChecker(judge)
        let checker = AcknowledgementChecker(judge, stored)
        for serial: UInt64 in 0..<3 {
            stored.stored(serial, at: .init(stream: stream, sequence: serial, version: serial))
        }
        checker.compare([0, 1, 2], of: 3, on: "a")
        checker.comparePrefix([0, 1], of: 3, on: "a")
        #expect(broken == nil)
        checker.compare([0, 1], of: 3, on: "b")
        #expect(broken == "nothing acknowledged is lost, and replicas converge")
    }

    @Test func aReplicaThatShowsWhatIsNotThere() {
        let checker = AcknowledgementChecker(judge, ExactlyOnceChecker(judge))
        checker.comparePrefix([4], of: 3, on: "b")
        #expect(broken == "no replica shows what is not there")
    }

    // MARK: Votes and leaders

    @Test func twoLeadersOfOneTerm() {
        let checker = ElectionChecker(judge)
        checker.leads(1, 4)
        checker.leads(1, 4)
        #expect(broken == nil)
        checker.leads(2, 4)
        #expect(broken == "one leader a term")
    }

    @Test func twoVotesInOneTermWithACrashBetween() {
        let checker = VoteChecker(judge)
        checker.sent(RaftMessage(.voteResponse, from: 1, to: 2, term: 4), from: "a, disk 1", durable: 0)
        checker.sent(RaftMessage(.voteResponse, from: 1, to: 2, term: 4), from: "a, disk 1", durable: 0)
        var refusal = RaftMessage(.voteResponse, from: 1, to: 3, term: 4)
        refusal.isRejected = true
        checker.sent(refusal, from: "a, disk 1", durable: 0)
        #expect(broken == nil)
        checker.sent(RaftMessage(.vote, from: 1, to: 3, term: 4), from: "a, disk 1", durable: 0)
        #expect(broken == "one vote a term")
    }

    @Test func anIdThatVotesFromTwoDisks() {
        let checker = VoteChecker(judge)
        checker.sent(RaftMessage(.voteResponse, from: 1, to: 2, term: 4), from: "a, disk 1", durable: 0)
        checker.sent(RaftMessage(.voteResponse, from: 1, to: 2, term: 5), from: "a, disk 2", durable: 0)
        #expect(broken == "an id is that of one directory")
    }

    @Test func twoWhoSendAsLeadersOfOneTerm() {
        let checker = VoteChecker(judge)
        checker.sent(RaftMessage(.append, from: 1, to: 2, term: 4), from: "a", durable: 0)
        checker.sent(RaftMessage(.heartbeat, from: 3, to: 2, term: 4), from: "c", durable: 0)
        #expect(broken == "one leader a term")
    }

    @Test func anAcknowledgementBeforeTheSync() {
        let checker = VoteChecker(judge)
        var message = RaftMessage(.appendResponse, from: 1, to: 2, term: 4)
        message.index = 7
        checker.sent(message, from: "a", durable: 7)
        #expect(broken == nil)
        checker.sent(message, from: "a", durable: 6)
        #expect(broken == "what is acknowledged is durable")
    }

    // MARK: Logs and configurations

    @Test func logsThatDoNotMatch() {
        let checker = LogChecker(judge)
        checker.committed(7, ChainValue(high: 1, low: 2), term: 3, on: "a")
        checker.committed(7, ChainValue(high: 1, low: 2), term: 4, on: "b")
        #expect(broken == nil)
        checker.committed(7, ChainValue(high: 1, low: 3), term: 4, on: "c")
        #expect(broken == "logs match")
    }

    @Test func aLeaderThatLacksWhatWasCommitted() {
        let checker = LogChecker(judge)
        checker.committed(7, ChainValue(high: 1, low: 2), term: 3, on: "a")
        checker.leads("b", 4, last: 7)
        #expect(broken == nil)
        checker.leads("c", 5, last: 6)
        #expect(broken == "leaders are complete")
    }

    @Test func aCommitThatNoQuorumHolds() {
        let checker = LogChecker(judge)
        checker.leaderCommits(5, behind: 1, [[1, 2, 3]], on: "a")
        checker.holds(1, through: 9)
        checker.holds(2, through: 7)
        checker.leaderCommits(7, behind: 1, [[1, 2, 3]], on: "a")
        #expect(broken == nil)
        checker.leaderCommits(8, behind: 1, [[1, 2, 3]], on: "a")
        #expect(broken == "what is committed is durable on a quorum")
    }

    @Test func aCommitByOneHalfOfAJointConfiguration() {
        let checker = LogChecker(judge)
        for replica: ReplicaID in [1, 2, 3] { checker.holds(replica, through: 7) }
        checker.leaderCommits(6, behind: 1, [[1, 2, 3], [3, 4, 5]], on: "a")
        checker.leaderCommits(7, behind: 1, [[1, 2, 3], [3, 4, 5]], on: "a")
        #expect(broken == "what is committed is durable on a quorum")
    }

    func membership(_ voters: [ReplicaID], outgoing: [ReplicaID] = [], behind index: RaftIndex) -> Membership {
        var configuration = GroupConfiguration(voters: voters)
        configuration.outgoing = outgoing
        let members = Set(voters).union(outgoing).sorted().map {
            Membership.Member(replica: $0, name: "n\($0)", node: UniqueID(high: 0, low: $0.rawValue))
        }
        return Membership(
            configuration: configuration, members: members, nextReplica: 9, partitionCount: 1,
            configurationIndex: index)
    }

    @Test func configurationsThatDiffer() {
        let checker = ConfigurationChecker(judge)
        checker.look(at: membership([1, 2, 3], behind: 4), of: "a")
        checker.look(at: membership([1, 2, 3], behind: 4), of: "b")
        #expect(broken == nil)
        checker.look(at: membership([1, 2], behind: 4), of: "c")
        #expect(broken == "the configuration follows from the log")
    }

    @Test func anIdThatIsGivenOutAgain() {
        let checker = ConfigurationChecker(judge)
        checker.look(at: membership([1, 2, 3], behind: 4), of: "a")
        var other = membership([1, 2, 3], behind: 6)
        other.members[2].node = UniqueID(high: 7, low: 7)
        checker.look(at: other, of: "a")
        #expect(broken == "ids are never given out twice")
    }

    @Test func twoVotersThatChangeAtOnce() {
        let checker = ConfigurationChecker(judge)
        checker.follows(membership([1, 2, 3], behind: 4), membership([1, 2, 3, 4], behind: 5), on: "a")
        checker.follows(
            membership([1, 2, 3, 4], behind: 5), membership([1, 2, 5], outgoing: [1, 2, 3, 4], behind: 6), on: "a")
        checker.follows(
            membership([1, 2, 5], outgoing: [1, 2, 3, 4], behind: 6), membership([1, 2, 5], behind: 7), on: "a")
        #expect(broken == nil)
        checker.follows(membership([1, 2, 5], behind: 7), membership([1, 3, 4], behind: 8), on: "a")
        #expect(broken == "quorums of two configurations overlap")
    }

    // MARK: Floor, recovery, exports, progress

    @Test func aFloorAboveWhatAPartitionNeeds() {
        let agreement = AgreementChecker(judge)
        let checker = FloorChecker(judge, agreement)
        agreement.applied(0, 1, raftIndex: 5, term: 1, digest: 7, events: 1, on: "a")
        agreement.applied(0, 2, raftIndex: 8, term: 1, digest: 7, events: 1, on: "a")
        checker.check(0, persisted: 1, start: 8, dispatched: 9, "a")
        checker.check(0, persisted: 2, start: 20, dispatched: 9, "a")
        #expect(broken == nil)
        checker.check(0, persisted: 1, start: 9, dispatched: 9, "a")
        #expect(broken == "the floor is never above what is needed")
    }

    func recover(
        term: Term = 4, vote: ReplicaID = 2, last: RaftIndex = 30, chain: ChainValue? = ChainValue(high: 1, low: 1)
    ) -> String? {
        let judge = Judge()
        let checker = RecoveryChecker(judge)
        checker.ended(
            "a", .init(term: 4, vote: 2, durable: 20, chain: ChainValue(high: 1, low: 1)))
        checker.opened("a", "a, life 2", term: term, vote: vote, commit: 10, boundary: 5, last: last) { _ in chain }
        return judge.violation?.promise
    }

    @Test func aRecoveryThatForgets() {
        #expect(recover() == nil)
        #expect(recover(term: 5, vote: 3) == nil)
        #expect(recover(chain: nil) == nil)
        #expect(recover(term: 3) == "term and vote are not forgotten")
        #expect(recover(vote: 3) == "term and vote are not forgotten")
        #expect(recover(last: 19) == "what was durable is recovered")
        #expect(recover(chain: ChainValue(high: 1, low: 2)) == "what was durable is recovered as it was")
    }

    @Test func eventsThatVanishInARestart() {
        let checker = RecoveryChecker(judge)
        checker.shows("a", "a, life 1", 0, 7)
        checker.shows("a", "a, life 2", 0, 7)
        #expect(broken == nil)
        checker.shows("a", "a, life 2", 0, 6)
        #expect(broken == "visible events never vanish")
    }

    @Test func exportsThatDiffer() {
        let checker = ExportChecker(judge)
        checker.compare([1, 2, 3], of: 0, 1...3, from: "a")
        checker.compare([1, 2, 3], of: 0, 1...3, from: "b")
        checker.compare([1, 2], of: 0, 1...2, from: "c")
        #expect(broken == nil)
        checker.compare([1, 2, 4], of: 0, 1...3, from: "c")
        #expect(broken == "canonical exports are identical")
    }

    @Test func anExportThatIsDamaged() {
        ExportChecker(judge).take([1, 2, 3], from: "a")
        #expect(broken == "exports are whole")
    }

    // MARK: Fairness

    @Test func theAtlasLeavesAMajorityOfSoundVoters() {
        var atlas = Atlas(isFair: true)
        #expect(!atlas.mayDamage(1, in: []))
        #expect(!atlas.mayDamage(1, in: [[1, 2]]))
        #expect(atlas.mayDamage(1, in: [[1, 2, 3]]))
        atlas.damage(1)
        #expect(atlas.mayDamage(1, in: [[1, 2, 3]]))
        #expect(!atlas.mayDamage(2, in: [[1, 2, 3]]))
        #expect(atlas.mayDamage(2, in: [[1, 2, 3, 4, 5]]))
        #expect(!atlas.mayDamage(2, in: [[1, 2, 3, 4, 5], [2, 3, 4]].map { $0.filter { $0 != 4 } + [1] }))
        #expect(!atlas.allows([1, 2]))
        atlas.mend(1)
        #expect(atlas.mayDamage(2, in: [[1, 2, 3]]))
        #expect(Atlas(isFair: false).mayDamage(1, in: [[1]]))
    }
}
