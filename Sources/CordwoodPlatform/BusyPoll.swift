/// Whether the loop looks again and again for a completion before it sleeps, and for how long.
///
/// A processor that sleeps takes its time to wake, on a virtual machine 10 µs and more, and whoever sends a request and
/// waits for a durable answer pays that twice. Looking is worth it where completions come soon, and a waste where they
/// do not. So it is paid for: what was found in time brings in a quarter of what looking in vain costs, and the passing
/// of time brings in a small share of itself. A loop at rest spends that share of a processor, and no more.
///
/// Every look is followed by an offer of the processor to whoever wants it, such as the kernel's thread that finishes
/// the write which is waited for. If it comes back late, others need it, and looking has lost that time: who sleeps is
/// let in at once when woken, and who has offered its processor is not. What looking has won, a wake-up each time that
/// it found something, is set against what it has lost; while it has lost more, the loop sleeps, and the passing of
/// time brings it back by the same small share.
struct BusyPoll {
    /// The loop without its processor for longer than this has given it to others' work.
    static let lateNanoseconds: UInt64 = 700_000

    /// What a wait that ended while the loop looked is reckoned to have won: the wake-up of a halted processor.
    private static let wakeUpNanoseconds: Int64 = 10_000
    /// What has been won is remembered up to this: so much others may take before the loop makes room for them.
    private static let mostGainedNanoseconds: Int64 = 16_000_000
    /// How often a wait in vain can be paid for out of what is saved up.
    private static let savedWaits: Int64 = 4
    /// So many waits that ended in time pay for one in vain.
    private static let findsForOneMiss: Int64 = 4
    private static let longestAwayNanoseconds: UInt64 = 1_000_000_000
    /// One part in so many of the time that passes may be spent in vain.
    private static let timeShare: UInt64 = 256

    /// What one look in vain costs: the longest time that the loop looks. 0: it never does.
    let limitNanoseconds: UInt64
    private var limit: Int64 { Int64(clamping: limitNanoseconds) }
    private var saved: Int64
    /// What looking has won in time, less what it has lost.
    private var gained: Int64 = 0
    private var knownNanoseconds: UInt64 = 0

    init(limitNanoseconds: UInt64) {
        self.limitNanoseconds = limitNanoseconds
        saved = Int64(clamping: limitNanoseconds)
    }

    /// Whether a wait that begins now begins with looking.
    mutating func isWorthwhile(atNanoseconds now: UInt64) -> Bool {
        guard limit > 0 else { return false }
        if now > knownNanoseconds, knownNanoseconds > 0 {
            let share = Int64(clamping: (now - knownNanoseconds) / BusyPoll.timeShare)
            earn(share)
            if gained < 0 { gained = share > -gained ? 0 : gained + share }
        }
        knownNanoseconds = now
        return saved >= limit && gained >= 0
    }

    /// Something completed while the loop looked.
    mutating func found() {
        earn(limit / BusyPoll.findsForOneMiss)
        gained = min(gained + BusyPoll.wakeUpNanoseconds, BusyPoll.mostGainedNanoseconds)
    }

    /// The loop has looked for as long as it may, and sleeps now.
    mutating func missed() { saved -= limit }

    /// The loop got its processor back after so long, `lateNanoseconds` or more.
    mutating func cameLate(byNanoseconds away: UInt64) {
        gained -= Int64(min(away, BusyPoll.longestAwayNanoseconds))
    }

    private mutating func earn(_ amount: Int64) {
        let most = limit * BusyPoll.savedWaits
        saved = amount > most - saved ? most : saved + amount
    }
}
