/// Which of two ways of making a write durable is the quicker one, here and now.
///
/// The one in use is the one with the lower estimate. The other is tried now and then, so that a change is seen: rarely
/// while the trials disappoint, more often as they do well. An estimate follows shorter times slowly and longer ones
/// fast, since a way that is mostly quick and sometimes takes milliseconds is the slower way.
struct DurableWriteChoice {
    enum Way {
        /// As one operation that is durable by itself.
        case atOnce
        /// As a write and, when it has completed in full, a sync.
        case writeThenSync
    }

    /// Writes between two trials of the way that is not in use: the fewest and the most.
    static let trialIntervals = 32...4096

    /// The way in use.
    private(set) var preferred: Way
    private var estimates: (preferred: Estimate, other: Estimate) = (Estimate(), Estimate())
    private var trialInterval = DurableWriteChoice.trialIntervals.lowerBound
    private var writesUntilTrial = 1

    /// Starts with the way that is never much slower than the other.
    init() { preferred = .writeThenSync }

    /// The way that the next write takes.
    mutating func next() -> Way {
        writesUntilTrial -= 1
        guard writesUntilTrial <= 0 else { return preferred }
        writesUntilTrial = trialInterval
        return other
    }

    /// Learns from a write that has succeeded.
    mutating func record(_ way: Way, nanoseconds: UInt64) {
        if way == preferred {
            estimates.preferred.learn(nanoseconds)
        } else {
            estimates.other.learn(nanoseconds)
            let didWell = nanoseconds <= estimates.preferred.nanoseconds
            let intervals = DurableWriteChoice.trialIntervals
            trialInterval = min(
                max(didWell ? trialInterval / 2 : trialInterval * 2, intervals.lowerBound), intervals.upperBound)
        }
        guard estimates.preferred.isKnown, estimates.other.isKnown,
            estimates.other.nanoseconds < estimates.preferred.nanoseconds
        else { return }
        preferred = other
        estimates = (estimates.other, estimates.preferred)
        trialInterval = DurableWriteChoice.trialIntervals.lowerBound
        writesUntilTrial = trialInterval
    }

    private var other: Way { preferred == .atOnce ? .writeThenSync : .atOnce }

    /// How long a way takes, as far as it was seen.
    private struct Estimate {
        var nanoseconds: UInt64 = 0
        var isKnown = false
        /// One sample counts as no more than so many times what was seen so far.
        private static let worstFactor: UInt64 = 16

        mutating func learn(_ sample: UInt64) {
            if !isKnown {
                isKnown = true
                nanoseconds = sample
            } else if sample > nanoseconds {
                // A stall of the device says little about the way that met it.
                let excess = min(sample - nanoseconds, nanoseconds * Estimate.worstFactor)
                nanoseconds += excess / (excess > nanoseconds ? 2 : 8)
            } else {
                nanoseconds -= (nanoseconds - sample) / 16
            }
        }
    }
}
