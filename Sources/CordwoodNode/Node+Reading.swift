public import CordwoodBase
import CordwoodIO
import CordwoodRaft

/// How a read index is confirmed.
public enum ReadProof: Int, Hashable, Sendable {
    /// A quorum is asked.
    case quorum
    /// The leader's lease, where it has one: see `RaftOptions.ReadMode.lease`.
    case lease
}

/// Readers that wait for a read index. One question serves all who came before it was asked; who comes while one is
/// under way waits for the next.
struct ReadRounds {
    typealias Reader = UnsafeContinuation<Result<RaftIndex, ProposalRejection>, Never>

    struct Round {
        var proof: ReadProof
        /// The tick at which it is asked no longer whether the leader has answered: a request or its answer can be
        /// lost.
        var expiryTick: UInt64
        var readers: [Reader]
    }

    /// By the context that the core knows them by.
    var underWay: [UInt64: Round] = [:]
    /// By proof.
    var later: [[Reader]] = [[], []]
    var lastContext: UInt64 = 0
    /// The lease counts for nothing before this tick: the process stood still, and its ticks with it.
    var leaseRestsUntilTick: UInt64 = 0
    /// When the last tick was.
    var tickedNanoseconds: UInt64 = 0

    /// Rounds that nobody expects an answer of any more.
    func expired(at tick: UInt64) -> [UInt64] {
        underWay.isEmpty ? [] : underWay.filter { $0.value.expiryTick < tick }.map(\.key).sorted()
    }
}

extension Node {
    /// Whether reads may ask for the lease at all.
    public var hasLeaseReads: Bool { configuration.raft.readMode == .lease }

    /// An index that covers every write acknowledged before the call: a read is linearizable once its partition has
    /// applied it.
    public func readIndex(by proof: ReadProof = .quorum) async throws(ProposalRejection) -> RaftIndex {
        if isClosing { throw .closing }
        let result = await withUnsafeContinuation { join([$0], proof) }
        return try result.get()
    }

    /// Lets readers wait for the round behind the one that is under way, or begins one.
    private func join(_ readers: [ReadRounds.Reader], _ proof: ReadProof) {
        if isClosing {
            for reader in readers { reader.resume(returning: .failure(.closing)) }
        } else if reads.underWay.values.contains(where: { $0.proof == proof }) {
            reads.later[proof.rawValue] += readers
        } else {
            ask(readers, proof)
        }
    }

    private func ask(_ readers: [ReadRounds.Reader], _ proof: ReadProof) {
        reads.lastContext += 1
        let context = reads.lastContext
        reads.underWay[context] = ReadRounds.Round(
            proof: proof, expiryTick: maintenance.ticks + UInt64(configuration.raft.electionTicks), readers: readers)
        step(proof == .lease && isLeaseTrusted ? .read(context: context) : .readByQuorum(context: context))
    }

    /// A round has its answer, or will have none: those who wait for the next one are served by it.
    func endRead(_ context: UInt64, _ result: Result<RaftIndex, ProposalRejection>) {
        guard let round = reads.underWay.removeValue(forKey: context) else { return }
        for reader in round.readers { reader.resume(returning: result) }
        let next = reads.later[round.proof.rawValue]
        guard !next.isEmpty else { return }
        reads.later[round.proof.rawValue] = []
        if isClosing { return join(next, round.proof) }
        // Not from inside the effects of another input.
        seams.scheduler.atEndOfTurn { [self] in join(next, round.proof) }
    }

    func failAllReads(_ rejection: ProposalRejection) {
        for context in reads.underWay.keys.sorted() { endRead(context, .failure(rejection)) }
        for readers in reads.later {
            for reader in readers { reader.resume(returning: .failure(rejection)) }
        }
        reads.later = [[], []]
    }

    // MARK: The lease

    /// A lease is measured in ticks, and a process that stands still has none: what it held before may belong to
    /// another by now. Until every lease from before has run out by ticks, the quorum is asked.
    func noteTick() {
        let now = seams.clock.monotonicNanoseconds
        if reads.tickedNanoseconds > 0, now - reads.tickedNanoseconds > 2 * tickNanoseconds {
            reads.leaseRestsUntilTick = maintenance.ticks + UInt64(configuration.raft.electionTicks) + 1
        }
        reads.tickedNanoseconds = now
    }

    private var tickNanoseconds: UInt64 { configuration.tickMilliseconds * 1_000_000 }

    /// Whether ticks have kept up with time.
    var isLeaseTrusted: Bool {
        maintenance.ticks >= reads.leaseRestsUntilTick
            && seams.clock.monotonicNanoseconds - reads.tickedNanoseconds <= 2 * tickNanoseconds
    }
}
