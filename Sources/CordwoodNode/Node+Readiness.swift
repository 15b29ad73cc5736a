public import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodRaft

/// How far a node is in showing again what it showed before its start.
public enum Readiness: Hashable, Sendable {
    /// It waits for a leader and a quorum: only they know what is committed.
    case waiting
    /// It applies what it may have shown before, up to an index.
    case applying(through: RaftIndex)
    /// Reads here show everything that reads here have ever shown.
    case ready
}

/// What a member has shown once it must show again. After a start it does not know how far that was, so it asks for a
/// read index, which covers it, and applies up to there. A group of one asks nobody.
extension Node {
    /// Returns when reads here show what they have ever shown, or when the node closes.
    public func untilReady() async {
        while readiness != .ready, !isClosing { await withUnsafeContinuation { readinessWaiters.append($0) } }
    }

    /// How much of what is to be shown again is, in percent.
    public var readinessPercent: Int {
        switch readiness {
        case .waiting: 0
        case .applying(let index): Int(min(99, core.appliedIndex.rawValue * 100 / max(1, index.rawValue)))
        case .ready: 100
        }
    }

    func catchUpWithGroup() {
        seams.scheduler.spawn("catch up with the group") { [self] in
            while !isClosing, !isRemoved {
                // Nobody else can tell; asking earlier would cost the time until the question is given up.
                while core.leader == .none, !isClosing, !isRemoved {
                    await seams.clock.sleep(nanoseconds: Self.leaderCheckNanoseconds)
                }
                do throws(ProposalRejection) {
                    let index = try await readIndex()
                    readiness = .applying(through: index)
                    while !isClosing, core.appliedIndex < index {
                        await seams.clock.sleep(nanoseconds: Self.readinessCheckNanoseconds)
                    }
                    return becomeReady()
                } catch {
                    await seams.clock.sleep(nanoseconds: configuration.tickMilliseconds * 1_000_000 / 2)
                }
            }
        }
    }

    func becomeReady() {
        machines.noteShown()
        readiness = .ready
        releaseReadinessWaiters()
    }

    func releaseReadinessWaiters() {
        let waiting = readinessWaiters
        readinessWaiters = []
        for waiter in waiting { waiter.resume() }
    }

    private static let leaderCheckNanoseconds: UInt64 = 10_000_000
    private static let readinessCheckNanoseconds: UInt64 = 2_000_000
}
