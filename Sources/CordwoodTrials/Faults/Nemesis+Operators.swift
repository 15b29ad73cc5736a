import CordwoodRESP
import CordwoodVirtual

/// What operators do to the group, whatever befalls it meanwhile.
///
/// An operator knows what must not be done: a voter goes only when all members vote, so that the group never has fewer
/// sound voters than a quorum of those it counts. What was begun is brought to its end, and that may have to wait until
/// everything is healed.
extension Nemesis {
    /// The group as one of its members sees it.
    private struct View {
        var voters: [String]
        var members: [String]
        var isJoint: Bool

        init?(_ status: RESPValue?) {
            guard let status, let config = status["config"], let voters = config["voters"]?.elements,
                let members = status["members"]?.elements
            else { return nil }
            self.voters = voters.compactMap(\.text)
            self.members = members.compactMap { $0["node"]?.text }
            isJoint = config["outgoing"]?.elements?.isEmpty == false
        }
    }

    func operate(_ kind: FaultKind, _ random: VirtualRandom) async throws -> Bool {
        switch kind {
        case .leadershipMoved:
            guard let target = anyMember(random, where: \.isAwake) else { return false }
            return await hasDone("TRANSFER", target.name)
        case .nodeAdded: return try await add(random)
        case .nodeRemoved:
            guard group.members.count > group.founderCount, await everybodyVotes(),
                let node = anyMember(random, where: { _ in true })
            else { return false }
            return try await holding([node]) {
                try await remove(node)
                // For a moment more it is there and may disturb the others.
                await pause(random.seconds(0...3))
                await group.kill(node)
                group.wipe(node)
            }
        case .diskWiped:
            guard group.members.count > 2, await everybodyVotes(), unsound == nil, let node = anyMember(random)
            else { return false }
            return try await holding([node]) {
                unsound = node.name
                defer { unsound = nil }
                await group.kill(node)
                group.wipe(node)
                await pause(random.seconds(0...2))
                try await remove(node)
                node.isWanted = true
                node.entrance = .joining(as: "voter")
                try group.start(node)
                await untilVoting(node)
            }
        case .demoted:
            guard group.members.count > 2, await everybodyVotes(), let node = anyMember(random) else { return false }
            guard await hasDone("DEMOTE", node.name) else { return false }
            await pause(random.seconds(0...2))
            return try await promote(node)
        default: return false
        }
    }

    private func add(_ random: VirtualRandom) async throws -> Bool {
        guard let node = random.element(of: group.nodes.filter { !$0.isWanted && !held.contains($0.name) }),
            await everybodyVotes()
        else { return false }
        let asLearner = random.chance(1, in: 2)
        node.entrance = .joining(as: asLearner ? "learner" : "voter")
        node.isWanted = true
        try group.start(node)
        if asLearner {
            await pause(random.seconds(0...3))
            return try await promote(node)
        }
        await untilVoting(node)
        return true
    }

    // MARK: To the end

    /// Asks any member that answers; `nil` when none does.
    private func ask(_ words: String...) async -> RESPValue? {
        for node in group.members where node.isAwake && node.clientAddress != nil {
            let reply = await group.ask(node, ["CORDWOOD.CLUSTER"] + words, seconds: 12)
            let answer = reply.map { $0.errorCode == nil ? "done" : "\($0)" } ?? "no reply"
            group.chronicle.note("\(node.name) is asked to \(words.joined(separator: " ")): \(answer)")
            if let reply { return reply }
        }
        return nil
    }

    private func hasDone(_ verb: String, _ name: String) async -> Bool {
        guard let reply = await ask(verb, name) else { return false }
        return reply.errorCode == nil
    }

    private func view() async -> View? {
        guard let leader = await group.leader() else { return nil }
        return View(await group.ask(leader, "CORDWOOD.CLUSTER", "STATUS"))
    }

    /// Waits until every node that is wanted votes, and nobody else; false when the nemesis must rest before that.
    private func everybodyVotes() async -> Bool {
        while !mustRest {
            let wanted = Set(group.members.map(\.name))
            if let view = await view(), !view.isJoint, Set(view.voters) == wanted { return true }
            await pause(0.2)
        }
        return false
    }

    private func untilVoting(_ node: TrialNode) async {
        while !mustRest {
            if let view = await view(), view.voters.contains(node.name) { return }
            await pause(0.2)
        }
    }

    /// Until the group has let the node go.
    private func remove(_ node: TrialNode) async throws {
        node.isWanted = false
        try await settle("removal of \(node.name)") {
            if let view = await view(), !view.members.contains(node.name) { return true }
            let asked = await ask("REMOVE", node.name)
            if let token = asked?["token"]?.text { _ = await ask("REMOVE", node.name, "CONFIRM", token) }
            return false
        }
    }

    private func promote(_ node: TrialNode) async throws -> Bool {
        try await settle("promotion of \(node.name)") {
            if let view = await view(), view.voters.contains(node.name) { return true }
            _ = await ask("PROMOTE", node.name)
            return false
        }
        return true
    }

    func settle(_ what: String, _ attempt: () async -> Bool) async throws {
        while !(await attempt()) {
            if hasRestedInVain { throw Violation.stuck("\(what) does not come to an end") }
            await clock.sleep(seconds: 0.2)
        }
    }
}
