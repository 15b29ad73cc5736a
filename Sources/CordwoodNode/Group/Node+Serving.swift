import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// What this node does for others: it takes their clients' commands as the leader, carries out operations, and lets
/// nodes into the group.
extension Node {
    func serve(_ transport: PeerTransport) {
        transport.services[.forward] = { [unowned self] caller, body in
            await serveForwarded(body, from: caller.replica)
        }
        transport.services[.operate] = { [unowned self] _, body in await serveOperation(body) }
        transport.services[.report] = { [unowned self] _, _ in .success(report.encoded()) }
        transport.services[.join] = { [unowned self] caller, body in await serveJoin(caller, body) }
    }

    private func serveOperation(_ body: [UInt8]) async -> PeerAnswer {
        let operation: MemberOperation
        do throws(DecodeError) { operation = try MemberOperation(decoding: body) } catch {
            return .refused(code: MemberOperationError.malformedCode, "\(error)")
        }
        do throws(MemberOperationError) {
            guard core.isLeader else { throw .notLeader(core.leader == .none ? nil : core.leader) }
            return .success(try await lead(operation).encoded())
        } catch { return error.answer }
    }

    /// A directory without a log asks where it belongs. Any member answers: it asks the leader if it does not lead. One
    /// that was removed does not know, so whoever asks goes on to the next.
    private func serveJoin(_ caller: PeerCaller, _ body: [UInt8]) async -> PeerAnswer {
        if isRemoved { return MemberOperationError.notLeader(nil).answer }
        let request: JoinRequest
        do throws(DecodeError) { request = try JoinRequest(decoding: body) } catch {
            return .refused(code: MemberOperationError.malformedCode, "\(error)")
        }
        switch request {
        case .found(_, let name, let node):
            guard let member = membership.member(named: name), member.node == node else {
                return MemberOperationError.notAllowed(
                    "the group was founded already, and this directory is none of its founders': "
                        + "remove '\(name)' from the group and let it join"
                ).answer
            }
            // As long as the first configuration is in force the founder makes the same beginning as the others.
            if membership.configurationIndex == 1, store.state.boundary.index <= 1 {
                return .success(
                    JoinAnswer.admitted(
                        Admission(cluster: identity.cluster, replica: member.replica, membership: membership)
                    ).encoded())
            }
            return admit(member)
        case .join(let name, let address, let node):
            do throws(MemberOperationError) {
                let result = try await operate(.add(name: name, address: address, node: node))
                // The leader has it in force; here it may take a moment longer.
                return admit(
                    Membership.Member(replica: result.replica, name: name, address: address, node: node))
            } catch { return error.answer }
        }
    }

    /// Whoever comes in gets to know the members that it may hear from; the configuration itself comes with the log.
    private func admit(_ member: Membership.Member) -> PeerAnswer {
        var known = membership
        known.configuration = GroupConfiguration()
        known.configurationIndex = 0
        known.members.removeAll { $0.replica == member.replica }
        known.members.append(member)
        known.members.sort { $0.replica < $1.replica }
        known.nextReplica = max(known.nextReplica, member.replica.next)
        return .success(
            JoinAnswer.admitted(Admission(cluster: identity.cluster, replica: member.replica, membership: known))
                .encoded())
    }
}
