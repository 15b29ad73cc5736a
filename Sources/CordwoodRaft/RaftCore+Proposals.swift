public import CordwoodBase

/// Proposals, and the leader's own appends.
extension RaftCore {
    /// Proposes an entry of `size` payload bytes. When it is accepted, its position is final for this leader; it is
    /// written and sent when the turn ends. A configuration change goes to `proposeChange`.
    public mutating func propose(_ type: EntryType, size: Int, into effects: inout RaftEffects) -> ProposalAnswer {
        guard role == .leader else { return passOn(into: &effects) }
        if let refusal = refusal() { return .refused(refusal) }
        if options.maxUncommittedBytes != 0, uncommittedBytes > 0,
            uncommittedBytes + UInt64(size) > options.maxUncommittedBytes
        {
            return .refused(.overloaded)
        }
        return .accepted(take(type, size: size, into: &effects))
    }

    /// Proposes a configuration change whose encoded form has `size` bytes. One that must not be made now is replaced
    /// by an empty entry.
    public mutating func proposeChange(
        _ change: ConfigurationChange, size: Int, into effects: inout RaftEffects
    ) -> ProposalAnswer {
        guard role == .leader else { return passOn(into: &effects) }
        if let refusal = refusal() { return .refused(refusal) }
        if options.validatesChanges, let objection = objection(to: change) {
            return .acceptedAsEmpty(take(.noOperation, size: 0, into: &effects), objection)
        }
        pendingConfiguration = log.last.next
        if options.traces { traceChange(change, into: &effects) }
        return .accepted(take(.configuration, size: size, into: &effects))
    }

    /// Why a configuration change would be replaced by an empty entry if it were proposed now.
    public func objection(to change: ConfigurationChange) -> ChangeObjection? {
        if pendingConfiguration > log.applied { return .pending(pendingConfiguration) }
        if configuration.isJoint && !change.steps.isEmpty { return .mustLeaveJointFirst }
        if !configuration.isJoint && change.steps.isEmpty { return .notJoint }
        return nil
    }

    /// Payload bytes that are proposed and not committed.
    public var uncommittedBytes: UInt64 {
        log.sizes.bytes(after: max(log.committed, log.sizes.floor), through: log.last)
    }

    private func refusal() -> ProposalRefusal? {
        if table.place(of: replica) == nil { return .notMember }
        if transferTarget != .none { return .transferring(to: transferTarget) }
        return nil
    }

    private mutating func passOn(into effects: inout RaftEffects) -> ProposalAnswer {
        if isPoisoned { return .refused(.poisoned) }
        guard role == .follower, leader != .none, options.forwardsProposals else { return .refused(.notLeader(leader)) }
        effects.emit(.forwardProposal(RaftMessage(.proposal, from: replica, to: leader, term: 0)))
        return .forwarded(to: leader)
    }

    @inline(__always)
    private mutating func take(_ type: EntryType, size: Int, into effects: inout RaftEffects) -> LogPosition {
        if options.traces, type != .configuration { trace(.replicate, into: &effects) }
        log.append(term: term, size: UInt64(size), type: type)
        proposals.append(log.last, term: term)
        if unsent == 0 { unsent = log.last }
        return log.lastPosition
    }

    /// Ends a run of proposals: one write, one acknowledgement to oneself, one message to each peer.
    @inline(__always)
    mutating func flush(into effects: inout RaftEffects) {
        if unsent != 0 { flushUnsent(into: &effects) }
    }

    private mutating func flushUnsent(into effects: inout RaftEffects) {
        let first = unsent
        unsent = 0
        write(first, source: .proposals, into: &effects)
        broadcastAppend(into: &effects)
    }

    /// Appends an entry of the core's own making. It is sent with the next broadcast.
    mutating func appendOwn(_ type: EntryType, source: AppendSource, into effects: inout RaftEffects) {
        if options.traces, type != .configuration { trace(.replicate, into: &effects) }
        log.append(term: term, size: 0, type: type)
        write(log.last, source: source, into: &effects)
    }

    /// Has the entries from `first` on written, and acknowledged to itself when that is durable.
    private mutating func write(_ first: RaftIndex, source: AppendSource, into effects: inout RaftEffects) {
        record(into: &effects)
        effects.emit(.append(first..<log.last.next, replaces: false, source: source, durabilityToken))
        var own = RaftMessage(.appendResponse, from: replica, to: replica, term: term)
        own.index = log.last
        send(own, into: &effects)
    }
}
