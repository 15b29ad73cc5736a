import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP
import CordwoodRaft

/// CORDWOOD.CLUSTER: the group as an operator sees and changes it. Commands name nodes; replies show the replica ids
/// beside the names. Whichever node is asked, the leader acts.
extension Dispatcher {
    func members(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        let name = request[1]
        switch true {
        case name.matches("STATUS"):
            try arguments.end()
            describeGroup(to: &connection.output)
        case name.matches("STEPDOWN"):
            try arguments.end()
            server.node.stepDown()
            audit(request, "OK", on: connection)
            connection.output.simple("OK")
        case name.matches("HELP"): lines(Dispatcher.membersHelp, on: connection)
        default:
            if server.node.isRemoved { throw .removed }
            if server.settings.routing == .moved, !server.node.isLeader { throw server.redirection(slot: 0) }
            do throws(CommandError) {
                try await change(name, &arguments, request, on: connection)
            } catch {
                audit(request, "\(error.code.rawValue) \(error.message)", on: connection)
                throw error
            }
        }
    }

    private static let membersHelp = [
        "STATUS: the group and its members", "ADD node host:port [LEARNER|VOTER]: a new member",
        "REMOVE node [CONFIRM token]: a member goes, its replica id for good",
        "PROMOTE node, DEMOTE node: a learner becomes a voter, a voter a learner",
        "REPLACE old new host:port [CONFIRM token]: a new node takes the place of a voter",
        "TRANSFER [node]: another voter leads", "STEPDOWN: this node leads no longer, or forgets who does",
        "LEAVE: ends a joint configuration",
    ]

    private func change(
        _ name: UnsafeRawBufferPointer, _ arguments: inout ArgumentCursor, _ request: Request,
        on connection: ClientConnection
    ) async throws(CommandError) {
        switch true {
        case name.matches("ADD"): try await add(&arguments, request, on: connection)
        case name.matches("REMOVE"): try await remove(&arguments, request, on: connection)
        case name.matches("REPLACE"): try await replace(&arguments, request, on: connection)
        case name.matches("PROMOTE"):
            let node = try arguments.next("a node").text
            try arguments.end()
            try await act(.promote(name: node), request, on: connection)
        case name.matches("DEMOTE"):
            let node = try arguments.next("a node").text
            try arguments.end()
            try await act(.demote(name: node), request, on: connection)
        case name.matches("TRANSFER"):
            let node = arguments.isAtEnd ? nil : try arguments.next("a node").text
            try arguments.end()
            try await act(.transfer(name: node), request, on: connection)
        case name.matches("LEAVE"):
            try arguments.end()
            try await act(.leaveJoint, request, on: connection)
        default: throw unknownSubcommand(name, of: "CORDWOOD.CLUSTER")
        }
    }

    private func add(
        _ arguments: inout ArgumentCursor, _ request: Request, on connection: ClientConnection
    ) async throws(CommandError) {
        let node = try arguments.next("a node").text
        let address = try arguments.next("host:port").text
        let votes = arguments.take("VOTER")
        if !votes { _ = arguments.take("LEARNER") }
        try arguments.end(expected: "LEARNER or VOTER")
        var result = try await operate(.add(name: node, address: address, node: .none))
        if votes { result = try await operate(.promote(name: node)) }
        finish(result, request, on: connection)
    }

    private func remove(
        _ arguments: inout ArgumentCursor, _ request: Request, on connection: ClientConnection
    ) async throws(CommandError) {
        let member = try known(try arguments.next("a node"))
        let voters = server.node.membership.configuration.voters
        let left = voters.filter { $0 != member.replica }
        let effect =
            "removes node '\(member.name)', replica \(member.replica), for good; "
            + "of \(voters.count) voters \(left.count) remain"
        guard try isConfirmed(&arguments, request, effect, on: connection) else { return }
        try await act(.remove(name: member.name), request, on: connection)
    }

    private func replace(
        _ arguments: inout ArgumentCursor, _ request: Request, on connection: ClientConnection
    ) async throws(CommandError) {
        let old = try known(try arguments.next("a node"))
        let new = try arguments.next("another node").text
        let address = try arguments.next("host:port").text
        let effect =
            "adds node '\(new)' as a learner where it is none yet; caught up, it votes in place of '\(old.name)', "
            + "replica \(old.replica), which is removed for good"
        guard try isConfirmed(&arguments, request, effect, on: connection) else { return }
        if server.node.membership.member(named: new) == nil {
            _ = try await operate(.add(name: new, address: address, node: .none))
        }
        try await act(.replace(old: old.name, new: new), request, on: connection)
    }

    func known(_ name: UnsafeRawBufferPointer) throws(CommandError) -> Membership.Member {
        guard let member = server.node.membership.member(named: name.text) else {
            throw CommandError(.notFound, "node \(shown(name)) not found in the group")
        }
        return member
    }

    // MARK: Acting

    private func act(
        _ operation: MemberOperation, _ request: Request, on connection: ClientConnection
    ) async throws(CommandError) {
        finish(try await operate(operation), request, on: connection)
    }

    private func operate(_ operation: MemberOperation) async throws(CommandError) -> MemberOperationResult {
        do throws(MemberOperationError) { return try await server.node.operate(operation) } catch {
            throw CommandError(operation: operation, error)
        }
    }

    /// Replies what came of it, and writes it down.
    private func finish(_ result: MemberOperationResult, _ request: Request, on connection: ClientConnection) {
        audit(request, "replica \(result.replica), configuration \(result.configurationIndex)", on: connection)
        connection.output.map(3)
        connection.output.simple("node")
        // The change is in force on the leader; here it may take a moment longer.
        connection.output.bulk(server.node.membership.member(result.replica)?.name ?? request[2, or: ""])
        connection.output.simple("replica_id")
        connection.output.integer(result.replica.rawValue)
        connection.output.simple("config_index")
        connection.output.integer(result.configurationIndex.rawValue)
    }

    /// True when the command comes with a token that fits. Otherwise the reply says what it would do, and which token
    /// makes it do so.
    func isConfirmed(
        _ arguments: inout ArgumentCursor, _ request: Request, _ effect: String, on connection: ClientConnection
    ) throws(CommandError) -> Bool {
        let words = (0..<arguments.position).map { [UInt8](request[$0]) }
        let state = server.node.membership.configurationIndex.rawValue
        let now = server.seams.clock.monotonicNanoseconds
        if arguments.take("CONFIRM") {
            let token = try arguments.next("a token").text
            try arguments.end()
            try server.confirmTokens.redeem(token, words: words, state: state, nowNanoseconds: now)
            return true
        }
        try arguments.end(expected: "CONFIRM")
        let token = hexadecimal(server.seams.random.next())
        server.confirmTokens.grant(token, words: words, state: state, nowNanoseconds: now)
        connection.output.map(3)
        connection.output.simple("effect")
        connection.output.bulk(effect)
        connection.output.simple("token")
        connection.output.simple(token)
        connection.output.simple("expires_ms")
        connection.output.integer(ConfirmTokens.lifetimeMilliseconds)
        return false
    }

    /// One line about who changed what, and what came of it.
    func audit(_ request: Request, _ result: String, on connection: ClientConnection) {
        let words = (0..<request.count).map { shown(request[$0]) }
        server.log.write(
            LogEvent(
                .info, "audit", words.joined(separator: " "),
                fields: [
                    .init("user", "default"), .init("address", "\(connection.socket.peerAddress)"),
                    .init("result", result),
                ]))
    }

    // MARK: STATUS

    private func describeGroup(to output: inout ReplyBuffer) {
        let status = server.node.status
        output.map(11)
        output.simple("cluster_id")
        output.simple("\(status.cluster)")
        output.simple("node")
        output.bulk(status.name)
        output.simple("replica_id")
        output.integer(status.replica.rawValue)
        output.simple("role")
        output.simple(status.roleName)
        output.simple("term")
        output.integer(status.term.rawValue)
        output.simple("leader")
        output.text(status.leader.flatMap { status.membership.member($0)?.name })
        output.simple("commit")
        output.integer(status.commit.rawValue)
        output.simple("applied")
        output.integer(status.dispatched.rawValue)
        output.simple("config")
        describe(status.membership, to: &output)
        output.simple("members")
        let members = server.node.memberStatuses
        output.array(members.count)
        for member in members { describe(member, last: status.log.nextIndex.previous, to: &output) }
        output.simple("preferred_leader")
        output.null()
    }

    private func describe(_ membership: Membership, to output: inout ReplyBuffer) {
        let configuration = membership.configuration
        output.map(4)
        let lists: [(StaticString, [ReplicaID])] = [
            ("voters", configuration.voters), ("outgoing", configuration.outgoing),
            ("learners", configuration.learners),
        ]
        for (key, replicas) in lists {
            output.simple(key)
            output.array(replicas.count)
            for replica in replicas { output.bulk(membership.member(replica)?.name ?? "replica \(replica)") }
        }
        output.simple("index")
        output.integer(membership.configurationIndex.rawValue)
    }

    private func describe(_ status: MemberStatus, last: RaftIndex, to output: inout ReplyBuffer) {
        output.map(10)
        output.simple("node")
        output.bulk(status.member.name)
        output.simple("replica_id")
        output.integer(status.member.replica.rawValue)
        output.simple("addr")
        output.bulk(status.member.address)
        output.simple("client_addr")
        output.bulk(status.clientAddress)
        output.simple("state")
        output.simple(status.stateName)
        output.simple("match")
        output.integer(status.match?.rawValue)
        output.simple("lag")
        output.integer(status.lagEntries(behind: last))
        output.simple("last_contact_ms")
        output.integer(status.lastContactNanoseconds.map { $0 / 1_000_000 })
        output.simple("degraded")
        output.boolean(status.isDegraded)
        output.simple("start_timestamp")
        output.integer(status.startedMicroseconds.map { UInt64(max(0, $0)) / 1000 })
    }
}

extension ReplyBuffer {
    /// A number, or null.
    fileprivate mutating func integer(_ value: UInt64?) {
        if let value { integer(value) } else { null() }
    }

    /// Text, or null.
    fileprivate mutating func text(_ value: String?) {
        if let value { bulk(value) } else { null() }
    }
}

extension Request {
    /// An argument as text; `absent` where there are not so many.
    fileprivate subscript(position: Int, or absent: String) -> String {
        position < count ? self[position].text : absent
    }
}

extension CommandError {
    /// The group was not changed as asked, or nobody knows whether it was.
    init(operation: MemberOperation, _ error: MemberOperationError) {
        switch error {
        case .notLeader: self.init(.clusterDown, "No raft leader")
        case .notAllowed(let reason): self.init(.invalidArgument, reason)
        case .busy(let reason):
            if case .transfer = operation { self.init(.timeout, reason) } else { self.init(.tryAgain, reason) }
        case .unknown(let reason): self.init(.timeout, reason)
        }
    }
}
