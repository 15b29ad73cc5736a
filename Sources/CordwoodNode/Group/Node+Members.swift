import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Changing the group while it runs. One change is under way at a time; each is an entry of the log, in force on a
/// replica when it is handed out there.
///
/// What the core does not know of is checked here first: names, addresses and directories; that this leader has
/// committed an entry of its own term (without that, two leaders one after the other could each make a change that the
/// other's quorum does not know); that a learner has caught up before it votes; that a removal leaves a quorum that
/// can be reached.
extension Node {
    /// Does something to the group, through the leader wherever it is. On return it is in force there.
    ///
    /// A node that has not heard of a leader asks the other members: one whose address has changed is not heard by the
    /// leader before this has told it.
    public func operate(_ operation: MemberOperation) async throws(MemberOperationError) -> MemberOperationResult {
        if isRemoved { throw .notAllowed("this member was removed from the group: ask one that is in it") }
        var failure = MemberOperationError.notLeader(nil)
        for _ in 0..<ProposalForwarder.maxHops {
            if core.isLeader {
                do throws(MemberOperationError) { return try await lead(operation) } catch { failure = error }
            } else if let peers {
                let others = membership.members.map(\.replica).filter { $0 != replica }
                for member in core.leader == .none ? others : [core.leader] {
                    do throws(MemberOperationError) {
                        return try await ask(member, operation, over: peers)
                    } catch { failure = error }
                    guard case .notLeader(let hint) = failure else { throw failure }
                    guard let hint, hint != replica, hint != member else { continue }
                    do throws(MemberOperationError) {
                        return try await ask(hint, operation, over: peers)
                    } catch { failure = error }
                }
            }
            guard case .notLeader = failure else { throw failure }
            await seams.clock.sleep(nanoseconds: 3 * configuration.tickMilliseconds * 1_000_000)
            if isClosing { throw .busy("the node is draining") }
        }
        throw failure
    }

    private func ask(
        _ member: ReplicaID, _ operation: MemberOperation, over peers: PeerTransport
    ) async throws(MemberOperationError) -> MemberOperationResult {
        do {
            let answer = try await peers.call(
                member, .operate, operation.encoded(), timeoutNanoseconds: 2 * operationNanoseconds)
            return try MemberOperationResult(decoding: answer)
        } catch PeerError.refused(let code, let text) {
            throw MemberOperationError(code: code, text)
        } catch let error as PeerError where !error.mayHaveActed {
            throw MemberOperationError.notLeader(nil)
        } catch { throw MemberOperationError.unknown("\(error)") }
    }

    /// How long an operation waits for what it needs.
    private var operationNanoseconds: UInt64 {
        UInt64(configuration.proposalTicks) * configuration.tickMilliseconds * 1_000_000
    }

    // MARK: As the leader

    func lead(_ operation: MemberOperation) async throws(MemberOperationError) -> MemberOperationResult {
        try await untilOwnTermIsCommitted()
        switch operation {
        case .add(let name, let address, let node):
            guard !name.isEmpty, name.utf8.count <= 255 else { throw .notAllowed("a node's name has 1 to 255 bytes") }
            guard SocketAddress(parsing: address) != nil else { throw .notAllowed("'\(address)' is no address") }
            guard configuration.log.syncsBatches else {
                throw .notAllowed("a node with durability.sync = no stays alone: others would count on what it holds")
            }
            if membership.member(named: name) == nil { try await beginBehindBoundary() }
            return try await change { () throws(MemberOperationError) in try adding(name, address, node) }
        case .promote(let name):
            if core.configuration.voters.contains(try known(name).replica) { return result(try known(name)) }
            try await untilCaughtUp(try known(name))
            return try await change { () throws(MemberOperationError) in
                let member = try known(name)
                if core.configuration.voters.contains(member.replica) { return .none(member) }
                return .change([.addVoter(member.replica)], member)
            }
        case .demote(let name):
            return try await change { () throws(MemberOperationError) in
                let member = try known(name)
                guard core.configuration.voters.contains(member.replica) else {
                    throw .notAllowed("'\(name)' is no voter")
                }
                try keepsQuorum(without: member)
                return .change([.addLearner(member.replica)], member)
            }
        case .remove(let name):
            return try await change { () throws(MemberOperationError) in
                let member = try known(name)
                try keepsQuorum(without: member)
                return .change([.remove(member.replica)], member)
            }
        case .replace(let old, let new):
            if core.configuration.learners.contains(try known(new).replica) { try await untilCaughtUp(try known(new)) }
            return try await change { () throws(MemberOperationError) in try replacing(old, by: new) }
        case .move(let name, let address):
            guard SocketAddress(parsing: address) != nil else { throw .notAllowed("'\(address)' is no address") }
            return try await change { () throws(MemberOperationError) in
                var member = try known(name)
                if member.address == address { return .none(member) }
                member.address = address
                return .change([.update(member.replica)], member, isNew: true)
            }
        case .transfer(let name): return try await transfer(to: name)
        case .leaveJoint:
            return try await change { () throws(MemberOperationError) in
                guard core.configuration.isJoint else { throw .notAllowed("the configuration is not joint") }
                return .leaveJoint
            }
        }
    }

    private func known(_ name: String) throws(MemberOperationError) -> Membership.Member {
        guard let member = membership.member(named: name) else { throw .notAllowed("no node '\(name)' in the group") }
        return member
    }

    private func result(_ member: Membership.Member) -> MemberOperationResult {
        MemberOperationResult(replica: member.replica, configurationIndex: membership.configurationIndex)
    }

    private func adding(_ name: String, _ address: String, _ node: UniqueID) throws(MemberOperationError) -> Plan {
        guard var member = membership.member(named: name) else {
            let replica = membership.nextReplica
            return .change(
                [.addLearner(replica)],
                Membership.Member(replica: replica, name: name, address: address, node: node), isNew: true)
        }
        if node == .none { throw .notAllowed("'\(name)' is replica \(member.replica) already") }
        guard member.node == .none || member.node == node else {
            throw .notAllowed(
                "'\(name)' is replica \(member.replica) with another directory: remove it, then add it again")
        }
        if member.node == node, member.address == address { return .none(member) }
        member.node = node
        member.address = address
        return .change([.update(member.replica)], member, isNew: true)
    }

    private func replacing(_ old: String, by new: String) throws(MemberOperationError) -> Plan {
        let (leaving, coming) = (try known(old), try known(new))
        guard core.configuration.voters.contains(leaving.replica) else { throw .notAllowed("'\(old)' is no voter") }
        if core.configuration.voters.contains(coming.replica) {
            try keepsQuorum(without: leaving)
            return .change([.remove(leaving.replica)], coming)
        }
        guard core.configuration.learners.contains(coming.replica) else {
            throw .notAllowed("'\(new)' is no learner: add it first")
        }
        return .change([.addVoter(coming.replica), .remove(leaving.replica)], coming)
    }

    /// Whoever joins learns the configuration from a snapshot only: the log must not begin with its first entry, as
    /// that of a group that was made for one node does.
    private func beginBehindBoundary() async throws(MemberOperationError) {
        guard store.state.boundary.index == 0 else { return }
        do throws(LogError) {
            try await partitionLogs.persistAll()
            try await writeCheckpoint()
            let through = min(dispatcher.floor.previous, maintenance.checkpointCovers)
            guard through >= 1 else { throw LogError.invalidArgument("nothing is committed and persisted") }
            step(.compacted(through: through))
            try await store.compact(through: through, boundary: nil)
        } catch { throw .busy("the log cannot be cut: \(error)") }
    }

    private func transfer(to name: String?) async throws(MemberOperationError) -> MemberOperationResult {
        let target: Membership.Member
        if let name {
            target = try known(name)
        } else {
            let best = core.status.members.filter {
                $0.isVoter && $0.replica != replica && $0.progress.isRecentlyActive
            }
            .max { $0.progress.match < $1.progress.match }
            guard let best, let member = membership.member(best.replica) else {
                throw .notAllowed("no other voter can be reached")
            }
            target = member
        }
        if target.replica == replica { return result(target) }
        guard core.configuration.voters.contains(target.replica) else {
            throw .notAllowed("'\(target.name)' is no voter")
        }
        step(.transferLeadership(to: target.replica))
        let term = core.term
        while core.isLeader, core.term == term, core.transferTarget == target.replica {
            await seams.clock.sleep(nanoseconds: Self.checkNanoseconds)
        }
        guard !core.isLeader else { throw .busy("'\(target.name)' did not take over within an election timeout") }
        return result(target)
    }

    // MARK: What must hold first

    private static let checkNanoseconds: UInt64 = 10_000_000

    private func wait(
        _ what: () -> String, until condition: () -> Bool
    ) async throws(MemberOperationError) {
        let deadline = seams.clock.monotonicNanoseconds + operationNanoseconds
        while !condition() {
            guard core.isLeader else { throw .notLeader(core.leader == .none ? nil : core.leader) }
            guard seams.clock.monotonicNanoseconds < deadline, !isClosing else { throw .busy(what()) }
            await seams.clock.sleep(nanoseconds: Self.checkNanoseconds)
        }
        guard core.isLeader else { throw .notLeader(core.leader == .none ? nil : core.leader) }
    }

    private func untilOwnTermIsCommitted() async throws(MemberOperationError) {
        try await wait {
            "no entry of term \(core.term) is committed yet"
        } until: {
            core.term(at: core.commitIndex) == core.term
        }
    }

    /// Everything that was in the log at the call is on the learner's disk.
    private func untilCaughtUp(_ member: Membership.Member) async throws(MemberOperationError) {
        let target = core.lastPosition.index
        try await wait {
            let match = core.progress(of: member.replica)?.match ?? 0
            return "'\(member.name)' has not caught up: it holds \(match) of \(target)"
        } until: {
            (core.progress(of: member.replica)?.match ?? 0) >= target
        }
    }

    /// Those who remain can commit: a quorum of them has been heard lately.
    private func keepsQuorum(without member: Membership.Member) throws(MemberOperationError) {
        let remaining = core.configuration.voters.filter { $0 != member.replica }
        if remaining.isEmpty, core.configuration.voters.contains(member.replica) {
            throw .notAllowed("'\(member.name)' is the last voter")
        }
        guard core.configuration.voters.contains(member.replica) else { return }
        let heard = remaining.filter { $0 == replica || core.progress(of: $0)?.isRecentlyActive == true }
        guard heard.count > remaining.count / 2 else {
            throw .notAllowed("without '\(member.name)' no quorum of the voters can be reached")
        }
    }

    // MARK: The change itself

    /// What an operation comes to, as the group is at that moment.
    private enum Plan {
        /// Steps that concern a member; `isNew`: what is known of the member changes, too.
        case change([ConfigurationChange.Step], Membership.Member, isNew: Bool = false)
        case leaveJoint
        /// It is as it is to be.
        case none(Membership.Member)
    }

    /// Waits until no other change is under way, and proposes what the operation comes to then: `plan` checks against
    /// the group as it is, in the same step in which the change is proposed. A plan from before the wait could give out
    /// an id a second time, or count on a voter that is gone.
    private func change(
        _ plan: () throws(MemberOperationError) -> Plan
    ) async throws(MemberOperationError) -> MemberOperationResult {
        let deadline = seams.clock.monotonicNanoseconds + operationNanoseconds
        while true {
            guard core.isLeader else { throw .notLeader(core.leader == .none ? nil : core.leader) }
            let change: MembershipChange
            let changed: ReplicaID
            switch try plan() {
            case .none(let member): return result(member)
            case .leaveJoint: (change, changed) = (MembershipChange(.leaveJoint), replica)
            case .change(let steps, let member, let isNew):
                change = MembershipChange(ConfigurationChange(steps), members: isNew ? [member] : [])
                changed = member.replica
            }
            if core.objection(to: change.change) == nil { return try await propose(change, replica: changed) }
            guard seams.clock.monotonicNanoseconds < deadline, !isClosing else {
                throw .busy("another change is under way")
            }
            await seams.clock.sleep(nanoseconds: Self.checkNanoseconds)
        }
    }

    /// Proposes a change that nothing stands against, before anything else can happen.
    private func propose(
        _ change: MembershipChange, replica changed: ReplicaID
    ) async throws(MemberOperationError) -> MemberOperationResult {
        if isClosing { throw .busy("the node is draining") }
        if let storeFailure { throw .notAllowed("\(storeFailure)") }
        let payload = change.encoded()
        guard store.canAdmit(bytes: payload.count + Node.framingBytes) else { throw .busy("the log has no room") }
        armTurn()
        let position: LogPosition
        switch core.proposeChange(change.change, size: payload.count, into: &effects) {
        case .accepted(let accepted): position = accepted
        case .refused(.transferring): throw .busy("leadership is being handed over")
        case .refused(.poisoned): throw .notAllowed("the store failed")
        case .refused: throw .notLeader(core.leader == .none ? nil : core.leader)
        case .acceptedAsEmpty, .forwarded:
            brokenInvariant("a change that nothing stood against was not taken as it is")
        }
        takeOwn(
            Entry(
                index: position.index, term: position.term, type: .configuration,
                timestampMicroseconds: turnMicroseconds, payload: payload))
        carryOut()
        let expiry = maintenance.ticks + UInt64(configuration.proposalTicks)
        let outcome = await withUnsafeContinuation {
            changeWaiters.add(position, expiryTick: expiry, $0)
        }
        switch outcome {
        case .applied: return MemberOperationResult(replica: changed, configurationIndex: position.index)
        case .unfit(let error): throw .notAllowed("\(error)")
        case .aborted: throw .notLeader(core.leader == .none ? nil : core.leader)
        case .unknown: throw .unknown("the change is in the log and not committed yet")
        }
    }

    // MARK: This node's own place

    /// A node that was started with another address than its group knows says so as soon as there is a leader, and one
    /// whose directory is new becomes a voter when it has caught up, if that is wanted.
    func takePlace() {
        guard let peerAddress else { return }
        let address = configuration.advertisedAddress(peerAddress)
        var wantsVote = recovery.isNew && configuration.becomesVoter
        seams.scheduler.spawn("take place") { [self] in
            while !isClosing, !isRemoved {
                var operation: MemberOperation?
                if let own = membership.member(replica), membership.configuration.contains(replica) {
                    if own.address != address {
                        operation = .move(name: own.name, address: address)
                    } else if wantsVote, !membership.configuration.isVoter(replica) {
                        operation = .promote(name: own.name)
                    } else {
                        return
                    }
                }
                do throws(MemberOperationError) {
                    if let operation { _ = try await operate(operation) }
                    if case .promote? = operation { wantsVote = false }
                } catch {
                    log.write(
                        LogEvent(.debug, "group", "not in place yet", fields: [.init("reason", error.description)]))
                }
                await seams.clock.sleep(nanoseconds: 2 * configuration.tickMilliseconds * 1_000_000)
            }
        }
    }
}
