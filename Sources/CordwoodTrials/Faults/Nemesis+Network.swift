import CordwoodIO
import CordwoodVirtual

/// Strikes on the network between the nodes.
extension Nemesis {
    func strikeNetwork(_ kind: FaultKind, _ random: VirtualRandom) async -> Bool {
        let names = random.permutation(of: group.members.map(\.name))
        guard names.count > 1 else { return false }
        group.chronicle.note("nodes in turn: \(names.joined(separator: " "))")
        defer { group.proxy.heal() }
        switch kind {
        case .halves:
            let size = 1 + Int(random.next(below: UInt64(names.count - 1)))
            cut(Array(names[..<size]), Array(names[size...]))
        case .leaderIsolated:
            guard let leader = await group.leader() else { return false }
            cut([leader.name], names.filter { $0 != leader.name })
        case .oneWay:
            let isDeaf = random.chance(1, in: 2)
            for other in names.dropFirst() {
                let (from, to) = isDeaf ? (other, names[0]) : (names[0], other)
                group.proxy.link(from: from, to: to).cut()
            }
        case .bridge:
            guard names.count > 2 else { return false }
            let middle = 1 + (names.count - 1) / 2
            cut(Array(names[1..<middle]), Array(names[middle...]))
        case .flapping:
            for _ in 0..<random.next(in: 10...30) where !mustRest {
                cut([names[0]], Array(names.dropFirst()))
                await pause(0.1)
                group.proxy.heal()
                await pause(0.1)
            }
            return true
        case .slowLinks:
            for from in names {
                for to in names where from != to && random.chance(2, in: 3) {
                    let link = group.proxy.link(from: from, to: to)
                    link.delayNanoseconds = random.next(in: 1_000_000...120_000_000)
                    if random.chance(1, in: 2) { link.bytesPerSecond = Int(random.next(in: 20_000...500_000)) }
                }
            }
        case .connectionsBroken:
            var broken = 0
            for (position, name) in names.enumerated() {
                for other in names[(position + 1)...] where random.chance(2, in: 3) {
                    broken += group.proxy.breakConnections(between: name, and: other)
                }
            }
            return broken > 0
        default: return false
        }
        await pause(random.seconds(0.5...7))
        return true
    }

    private func cut(_ some: [String], _ others: [String]) {
        for one in some {
            for other in others {
                group.proxy.link(from: one, to: other).cut()
                group.proxy.link(from: other, to: one).cut()
            }
        }
    }
}
