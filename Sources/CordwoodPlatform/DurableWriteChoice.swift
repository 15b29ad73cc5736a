/// Which of two ways of making a write durable is the quicker one, here and now.
///
/// The one in use is the one with the lower estimate, a running mean: a way that is mostly quick and sometimes takes
/// milliseconds is the slower way, and one long time is enough to leave it. The other is tried now and then, so that a
/// change is seen: rarely while the trials disappoint, more often as they do well.
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
            adjustTrials(tookNanoseconds: nanoseconds)
        }
        guard estimates.preferred.isKnown, estimates.other.isKnown,
            estimates.other.nanoseconds < estimates.preferred.nanoseconds
        else { return }
        preferred = other
        estimates = (estimates.other, estimates.preferred)
        trialInterval = DurableWriteChoice.trialIntervals.lowerBound
        writesUntilTrial = trialInterval
    }

    /// A trial that took far longer than a write usually does puts the next one far off: on a busy machine it may have
    /// cost as much as hundreds of writes.
    private mutating func adjustTrials(tookNanoseconds nanoseconds: UInt64) {
        let usual = estimates.preferred.nanoseconds
        let wanted =
            nanoseconds <= usual ? trialInterval / 2 : nanoseconds / 4 <= usual ? trialInterval * 2 : trialInterval * 16
        let intervals = DurableWriteChoice.trialIntervals
        trialInterval = min(max(wanted, intervals.lowerBound), intervals.upperBound)
        writesUntilTrial = trialInterval
    }

    private var other: Way { preferred == .atOnce ? .writeThenSync : .atOnce }

    /// How long a way takes, as far as it was seen.
    private struct Estimate {
        var nanoseconds: UInt64 = 0
        var isKnown = false

        mutating func learn(_ sample: UInt64) {
            if !isKnown {
                isKnown = true
                nanoseconds = sample
            } else if sample > nanoseconds {
                nanoseconds += (sample - nanoseconds) / 16
            } else {
                nanoseconds -= (nanoseconds - sample) / 16
            }
        }
    }
}
