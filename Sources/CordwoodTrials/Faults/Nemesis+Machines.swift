import CordwoodVirtual

/// Strikes on processes and disks.
extension Nemesis {
    func strikeMachine(_ kind: FaultKind, _ random: VirtualRandom) async throws -> Bool {
        switch kind {
        case .everybodyKilled:
            let victims = group.members.filter { !held.contains($0.name) }
            return try await holding(victims) {
                for victim in victims { victim.mayEnd = true }
                for victim in victims { await group.kill(victim) }
                await pause(random.seconds(0...1))
                for victim in victims { try group.start(victim) }
            }
        case .diskFull: return try await fillDisk(random)
        case .partitionLogDamaged, .logDamaged:
            guard unsound == nil, let follower = await freeFollower(random) else { return false }
            var damage: String?
            _ = try await holding([follower]) { damage = try await self.damage(kind, follower, random) }
            return damage != nil
        case .leaderKilled, .leaderPaused:
            guard let leader = await freeLeader() else { return false }
            return try await holding([leader]) { try await strike(kind, leader, random) }
        default:
            guard let follower = await freeFollower(random) else { return false }
            return try await holding([follower]) { try await strike(kind, follower, random) }
        }
    }

    /// Does something with nodes that no other lane touches meanwhile.
    func holding(_ nodes: [TrialNode], _ body: () async throws -> Void) async throws -> Bool {
        let names = Set(nodes.map(\.name))
        guard !names.isEmpty, held.isDisjoint(with: names) else { return false }
        held.formUnion(names)
        defer { held.subtract(names) }
        try await body()
        return true
    }

    private func strike(_ kind: FaultKind, _ node: TrialNode, _ random: VirtualRandom) async throws {
        switch kind {
        case .leaderPaused, .followerPaused:
            group.chronicle.note("\(node.name) is stopped")
            group.pause(node)
            await pause(random.seconds(0.3...6))
            group.resume(node)
        case .restarted:
            try await group.terminate(node)
            await pause(random.seconds(0...1))
            try group.start(node)
        case .killedAtStart:
            await group.kill(node)
            for _ in 0..<random.next(in: 1...3) {
                try group.start(node)
                await pause(random.seconds(0.005...0.3))
                await group.kill(node)
            }
            try group.start(node)
        default:
            await group.kill(node)
            // Now and then it is away for long enough that the others let the log go that it lacks.
            await pause(random.chance(1, in: 4) ? random.seconds(4...12) : random.seconds(0...3))
            try group.start(node)
        }
        _ = await clock.until(seconds: 10) { node.clientAddress != nil || mustRest }
    }

    /// Damages a file of a node that has ended in order, and waits until the node has mended it. What was damaged.
    private func damage(_ kind: FaultKind, _ node: TrialNode, _ random: VirtualRandom) async throws -> String? {
        unsound = node.name
        defer { unsound = nil }
        try await group.terminate(node)
        let damage =
            kind == .logDamaged
            ? FileDamage.strikeLog(in: node.directory, random)
            : FileDamage.strikePartitionLog(in: node.directory, random)
        if damage != nil { group.hasBeenDamaged = true }
        group.chronicle.note("damaged: \(damage ?? "nothing, too little is written")")
        try group.start(node)
        try await settle("repair of \(node.name)") { await group.isSound(node) }
        return damage
    }

    /// Leaves a node no space on its disk for a time, in half of the cases while it leads.
    private func fillDisk(_ random: VirtualRandom) async throws -> Bool {
        guard let smallDisk, let node = group.node(smallDisk.nodeName), node.isWanted, node.isAwake else {
            return false
        }
        if random.chance(1, in: 2), let asked = anyMember(random, where: \.isAwake) {
            _ = await group.ask(asked, "CORDWOOD.CLUSTER", "TRANSFER", node.name, seconds: 3)
        }
        node.hasFullDisk = true
        let isFull = smallDisk.fill()
        if isFull { await pause(random.seconds(1...6)) }
        smallDisk.relieve()
        // Whoever was started meanwhile has had the time to find no space, and is started again.
        await clock.sleep(seconds: 1)
        if node.lacksSpace, node.isWanted { try group.start(node) }
        node.hasFullDisk = false
        return isFull
    }
}
