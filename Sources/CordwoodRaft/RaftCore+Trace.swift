internal import CordwoodBase

/// Events for the trace; called only when the options ask for one.
extension RaftCore {
    /// The first event of a replica: it exists, and its recorded term and vote are not loaded yet.
    public func traceStart(into effects: inout RaftEffects) {
        if !options.traces { return }
        var event = event(.initState)
        event.vote = .none
        effects.trace.append(event)
        trace(.becomeFollower, into: &effects)
    }

    func trace(_ name: RaftTraceEvent.Name, into effects: inout RaftEffects) { effects.trace.append(event(name)) }

    private func event(_ name: RaftTraceEvent.Name) -> RaftTraceEvent {
        RaftTraceEvent(
            name, replica: replica, vote: vote, commit: log.committed, role: role, last: log.last,
            configuration: configuration)
    }

    func traceSend(_ message: RaftMessage, into effects: inout RaftEffects) {
        let name: RaftTraceEvent.Name? =
            switch message.kind {
            case .append, .heartbeat, .snapshot: .sendAppendRequest
            case .appendResponse, .heartbeatResponse: .sendAppendResponse
            case .vote: .sendVoteRequest
            case .voteResponse: .sendVoteResponse
            default: nil
            }
        if let name { traceMessage(name, message, into: &effects) }
    }

    func traceAppend(_ message: RaftMessage, to place: Int, into effects: inout RaftEffects) {
        var event = event(.sendAppendRequest)
        event.message = message
        event.progress = (table.peers[place].progress.match, table.peers[place].progress.next)
        effects.trace.append(event)
    }

    func traceReceive(_ message: RaftMessage, into effects: inout RaftEffects) {
        let name: RaftTraceEvent.Name? =
            switch message.kind {
            case .append, .heartbeat, .snapshot: .receiveAppendRequest
            case .appendResponse, .heartbeatResponse: .receiveAppendResponse
            case .vote: .receiveVoteRequest
            case .voteResponse: .receiveVoteResponse
            default: nil
            }
        if let name { traceMessage(name, message, into: &effects) }
    }

    private func traceMessage(_ name: RaftTraceEvent.Name, _ message: RaftMessage, into effects: inout RaftEffects) {
        var event = event(name)
        event.message = message
        effects.trace.append(event)
    }

    func traceChange(_ change: ConfigurationChange, into effects: inout RaftEffects) {
        var event = event(.changeConfiguration)
        event.changes = change.steps.compactMap { step in
            switch step {
            case .addVoter(let id): .init(replica: id, action: "AddNewServer")
            case .addLearner(let id): .init(replica: id, action: "AddLearner")
            case .remove(let id): .init(replica: id, action: "RemoveServer")
            case .update: nil
            }
        }
        effects.trace.append(event)
    }

    func traceApply(_ configuration: GroupConfiguration, into effects: inout RaftEffects) {
        var event = event(.applyConfiguration)
        event.changes = []
        event.newVoters = configuration.voters
        effects.trace.append(event)
    }

    /// The effects of one input are handed out together: one atomic persist for the specification.
    func traceBatch(into effects: inout RaftEffects) {
        if !effects.effects.isEmpty { trace(.ready, into: &effects) }
    }
}
