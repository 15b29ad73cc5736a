import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRESP

/// How appends end: the node reports in any order, replies leave in the order of the requests.
extension ClientConnection: ProposalObserver {
    func proposalEnded(tag: UInt64, outcome: ProposalOutcome) {
        switch outcome {
        case .applied(_, let result): end(tag, result)
        case .appliedByLeader(_, let timestampMicroseconds, let result):
            appends.setTimestamp(of: tag, milliseconds: timestampMicroseconds / 1000)
            end(tag, result)
        case .durable, .buffered: settle(tag, .logged)
        case .unknown(let reason): settle(tag, .refused(CommandError(unknown: reason)))
        case .aborted: settle(tag, .refused(CommandError(.tryAgain, "entry was rolled back")))
        case .rejected(let rejection): settle(tag, .refused(CommandError(rejection: rejection)))
        }
    }

    private func end(_ tag: UInt64, _ outcome: ApplyOutcome) {
        outcome.withAnswerBytes { bytes in
            do throws(DecodeError) { end(tag, try AppendAnswer(decoding: bytes)) } catch {
                settle(
                    tag, .refused(CommandError(.refusedByMachine, "the machine's answer is malformed: \(error)")))
            }
        }
    }

    private func end(_ tag: UInt64, _ answer: AppendAnswer) {
        switch answer {
        case .appended(let events): settle(tag, .appended(events))
        case .refused(let refusal):
            guard let append = appends[tag] else { return }
            settle(tag, .refused(CommandError(refusal: refusal, of: append)))
        case .duplicate(let earlier): lookUp(earlier, for: tag)
        }
    }

    /// Writes the replies that are due: that of the append which ended if it is the oldest, and those of the appends
    /// behind it that had ended before.
    private func settle(_ tag: UInt64, _ ending: PendingAppend.Ending) {
        guard tag == appends.head else { return appends.end(tag, ending) }
        server.markDirty(self)
        answer(appends.takeOldest(), ending)
        while let append = appends.takeEnded() { answer(append, append.ending) }
        guard appends.isEmpty else { return }
        resumeReceiver()
        // A client that sent many requests at once can go on while others are answered.
        if output.count >= ClientConnection.earlyFlushBytes { flush() }
    }

    /// Reads back what a repeated command was answered when it was first sent. The leader said what it repeats: this
    /// node may still have to apply that.
    private func lookUp(_ earlier: RepeatedAppend, for tag: UInt64) {
        server.statistics.duplicates += 1
        guard let append = appends[tag] else { return }
        server.seams.scheduler.spawn("repeated append of client \(number)") { [self] in
            do {
                let store = try await store(of: append.partition, showing: earlier)
                settle(tag, .appended(try await store.firstAnswer(to: earlier)))
            } catch {
                settle(tag, .refused(error as? CommandError ?? CommandError(reading: error)))
            }
        }
    }

    private func store(
        of partition: PartitionID, showing earlier: RepeatedAppend
    ) async throws(CommandError) -> EventStore {
        let clock = server.seams.clock
        let deadline = clock.monotonicNanoseconds + server.settings.replyTimeoutNanoseconds
        while true {
            guard let store = await server.eventStore(of: partition) else {
                throw CommandError(.frozen, "partition \(partition) is frozen")
            }
            if store.shows(earlier) { return store }
            guard clock.monotonicNanoseconds < deadline, !isEnding else {
                throw CommandError(.timeout, "the first reply is not known yet: partition \(partition) is behind here")
            }
            await clock.sleep(nanoseconds: Self.behindCheckNanoseconds)
        }
    }

    private static let behindCheckNanoseconds: UInt64 = 5_000_000

    private func answer(_ append: PendingAppend, _ ending: PendingAppend.Ending) {
        let command: Command = append.isTransaction ? .emappend : .eappend
        switch ending {
        case .waiting: brokenInvariant("append \(appends.head) is answered while it waits")
        case .appended(let events):
            server.statistics.transactions += 1
            server.statistics.eventsAppended += UInt64(events.count)
            output.appended(events, for: append)
        case .logged:
            server.statistics.transactions += 1
            output.logged(append)
        case .refused(let error):
            if append.startedNanoseconds > 0 { server.statistics.countFailed(command) }
            server.statistics.count(error.code)
            output.error(error.code.rawValue, error.message)
        }
        if append.startedNanoseconds > 0 {
            server.statistics.recordLatency(
                of: command, nanoseconds: server.turnNanoseconds &- append.startedNanoseconds)
        }
    }
}
