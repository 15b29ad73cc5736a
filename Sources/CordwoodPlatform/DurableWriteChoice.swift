/// Which of two ways of making a write durable is the quicker one, here and now.
///
/// The one in use is the one with the lower estimate, a running mean: a way that is mostly quick and sometimes takes
/// milliseconds is the slower way, and one long time is enough to leave it. The other is tried now and then, so that a
/// change is seen; whatever the trials meet, they take a small part of the time.
struct DurableWriteChoice {
    enum Way {
        /// As one operation that is durable by itself.
        case atOnce
        /// As a write and, when it has completed in full, a sync.
        case writeThenSync
    }

    /// Between two trials the way in use has so many times the duration of the first of them.
    static let trialShare: UInt64 = 64

    /// The way in use.
    private(set) var preferred: Way
    private var estimates: (preferred: Estimate, other: Estimate) = (Estimate(), Estimate())
    /// How long the way in use still has before the next trial.
    private var untilTrialNanoseconds: UInt64 = 1

    /// Starts with the way that is never much slower than the other.
    init() { preferred = .writeThenSync }

    /// The way that the next write takes.
    mutating func next() -> Way {
        guard untilTrialNanoseconds == 0 else { return preferred }
        // Until this trial has been recorded there is no other.
        untilTrialNanoseconds = .max
        return other
    }

    /// Learns from a write that has succeeded.
    mutating func record(_ way: Way, nanoseconds: UInt64) {
        if way == preferred {
            estimates.preferred.learn(nanoseconds)
            if untilTrialNanoseconds < .max { untilTrialNanoseconds -= min(untilTrialNanoseconds, nanoseconds) }
        } else {
            estimates.other.learn(nanoseconds)
            restUntilTrial(after: nanoseconds)
        }
        guard estimates.preferred.isKnown, estimates.other.isKnown,
            estimates.other.nanoseconds < estimates.preferred.nanoseconds
        else { return }
        preferred = other
        estimates = (estimates.other, estimates.preferred)
        restUntilTrial(after: estimates.other.nanoseconds)
    }

    /// Puts the next trial off so far that one like the last takes a small part of the time.
    private mutating func restUntilTrial(after nanoseconds: UInt64) {
        let (rest, overflowed) = nanoseconds.multipliedReportingOverflow(by: DurableWriteChoice.trialShare)
        untilTrialNanoseconds = overflowed ? .max - 1 : max(rest, 1)
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
