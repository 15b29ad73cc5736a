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
        case .durable, .buffered: appends.end(tag, .logged)
        case .unknown(let reason): appends.end(tag, .refused(CommandError(unknown: reason)))
        case .aborted: appends.end(tag, .refused(CommandError(.tryAgain, "entry was rolled back")))
        case .rejected(let rejection): appends.end(tag, .refused(CommandError(rejection: rejection)))
        }
        answerEndedAppends()
    }

    private func end(_ tag: UInt64, _ outcome: ApplyOutcome) {
        do throws(DecodeError) {
            end(tag, try outcome.withAnswerBytes { AppendAnswer.decode($0) }.get())
        } catch {
            appends.end(
                tag, .refused(CommandError(.refusedByMachine, "the machine's answer is malformed: \(error)")))
        }
    }

    private func end(_ tag: UInt64, _ answer: AppendAnswer) {
        switch answer {
        case .appended(let events): appends.end(tag, .appended(events))
        case .refused(let refusal):
            guard let append = appends[tag] else { return }
            appends.end(tag, .refused(CommandError(refusal: refusal, of: append)))
        case .duplicate(let earlier): lookUp(earlier, for: tag)
        }
    }

    /// Reads back what a repeated command was answered when it was first sent.
    private func lookUp(_ earlier: RepeatedAppend, for tag: UInt64) {
        server.statistics.duplicates += 1
        guard let append = appends[tag] else { return }
        server.seams.scheduler.spawn("repeated append of client \(number)") { [self] in
            do {
                guard let store = await server.eventStore(of: append.partition) else {
                    throw CommandError(.frozen, "partition \(append.partition) is frozen")
                }
                appends.end(tag, .appended(try await store.firstAnswer(to: earlier)))
            } catch {
                appends.end(tag, .refused(error as? CommandError ?? CommandError(reading: error)))
            }
            answerEndedAppends()
        }
    }

    /// Writes the replies that are due: those of the oldest appends that have ended.
    private func answerEndedAppends() {
        server.markDirty(self)
        while let append = appends.takeEnded() { answer(append) }
        if appends.isEmpty { resumeReceiver() }
    }

    private func answer(_ append: PendingAppend) {
        let command: Command = append.isTransaction ? .emappend : .eappend
        switch append.ending {
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
