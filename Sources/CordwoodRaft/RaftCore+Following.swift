internal import CordwoodBase

/// The follower's side of replication.
extension RaftCore {
    mutating func takeAppend(_ message: RaftMessage, _ entries: Span<EntryHead>, into effects: inout RaftEffects) {
        var answer = RaftMessage(.appendResponse, from: replica, to: message.from, term: term)
        if message.index < log.committed {
            answer.index = log.committed
        } else if log.holds(LogPosition(index: message.index, term: message.logTerm)) {
            let verified = message.index + UInt64(entries.count)
            takeEntries(message.index, entries, into: &effects)
            // Beyond what this message verified, the own log may differ from the leader's.
            log.commit(through: min(message.commit, verified))
            answer.index = verified
        } else {
            let agreement = log.agreement(atOrBelow: min(message.index, log.last), term: message.logTerm)
            answer.isRejected = true
            answer.index = message.index
            answer.hint = agreement.index
            answer.logTerm = agreement.term
        }
        send(answer, into: &effects)
    }

    /// Takes the entries behind `previous`, which matched. The log is cut only where one truly differs: a message that
    /// is late or short takes nothing away.
    private mutating func takeEntries(
        _ previous: RaftIndex, _ entries: Span<EntryHead>, into effects: inout RaftEffects
    ) {
        var place = 0
        if previous < log.last {
            while place < entries.count, log.term(at: previous + UInt64(place + 1)) == entries[place].term {
                place += 1
            }
        }
        if place == entries.count { return }
        let first = previous + UInt64(place + 1)
        invariant(first > log.committed, "entry \(first) conflicts at or below commit: \(state)")
        let replaces = first <= log.last
        if replaces {
            log.truncate(after: first.previous)
            proposals.truncate(after: first.previous)
        }
        while place < entries.count {
            log.append(term: entries[place].term, size: UInt64(entries[place].size), type: entries[place].type)
            place += 1
        }
        record(into: &effects)
        effects.emit(.append(first..<log.last.next, replaces: replaces, source: .message, durabilityToken))
    }

    mutating func takeHeartbeat(_ message: RaftMessage, into effects: inout RaftEffects) {
        invariant(message.commit <= log.last, "the leader knows commit \(message.commit) here: \(state)")
        log.commit(through: message.commit)
        var answer = RaftMessage(.heartbeatResponse, from: replica, to: message.from, term: term)
        answer.context = message.context
        send(answer, into: &effects)
    }
}
