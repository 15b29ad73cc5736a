import CordwoodBase

/// What can be done to a network. Faults meet links, each of which leads from one machine to another in one direction;
/// machines are named, and the world itself is `home`. `heal` takes back all of it.
///
/// Faults change links and draw nothing, so that a schedule of faults is drawn where it is made, from a stream of the
/// world's seed of its own.
extension VirtualNetwork {
    /// What the link from one machine to another does now.
    public func condition(from: String, to: String) -> LinkCondition { link(from, to)?.condition ?? LinkCondition() }

    /// Changes one link in one direction.
    public func set(_ condition: LinkCondition, from: String, to: String) {
        let name = LinkName(from: from, to: to)
        links[name, default: Link()].condition = condition
    }

    /// Changes the links between two machines in both directions.
    public func set(_ condition: LinkCondition, between one: String, and other: String) {
        set(condition, from: one, to: other)
        set(condition, from: other, to: one)
    }

    /// Changes the links among all of these machines.
    public func set(_ condition: LinkCondition, among hosts: [String]) {
        for from in hosts { for to in hosts where from != to { set(condition, from: from, to: to) } }
    }

    /// Nothing passes from one machine to another any more; the other way it does.
    public func cut(from: String, to: String) { change(from, to) { $0.isCut = true } }

    public func cut(between one: String, and other: String) {
        cut(from: one, to: other)
        cut(from: other, to: one)
    }

    /// Machines of different groups do not hear each other. Those that are in no group, and the world itself, hear and
    /// are heard by all.
    public func partition(_ groups: [[String]]) {
        for (number, group) in groups.enumerated() {
            for other in groups[(number + 1)...] {
                for one in group { for another in other { cut(between: one, and: another) } }
            }
        }
    }

    /// A machine hears no other machine, and is heard by none. The world itself is no machine.
    public func isolate(_ host: String) { partition([[host], hostNames.filter { $0 != host }]) }

    /// One machine hears all the others, which are in two groups that do not hear each other.
    public func bridge(_ host: String, between left: [String], and right: [String]) {
        partition([left.filter { $0 != host }, right.filter { $0 != host }])
    }

    /// Each machine of the ring hears its two neighbours alone.
    public func ring(_ hosts: [String]) {
        for (one, first) in hosts.enumerated() {
            for (other, second) in hosts.enumerated().dropFirst(one + 1) {
                let distance = other - one
                if distance != 1, distance != hosts.count - 1 { cut(between: first, and: second) }
            }
        }
    }

    /// What travels over the link stands still for so long, and arrives then.
    public func clog(from: String, to: String, nanoseconds: UInt64) {
        let end = clock.monotonicNanoseconds + nanoseconds
        let name = LinkName(from: from, to: to)
        links[name, default: Link()].clogEndNanoseconds = max(end, links[name]?.clogEndNanoseconds ?? 0)
    }

    /// All links to and from a machine are clogged.
    public func clog(_ host: String, nanoseconds: UInt64) {
        for other in hostNames + [VirtualNetwork.home] where other != host {
            clog(from: host, to: other, nanoseconds: nanoseconds)
            clog(from: other, to: host, nanoseconds: nanoseconds)
        }
    }

    /// The connections between two machines break, and what travels on them is lost. Returns how many.
    @discardableResult
    public func breakConnections(between one: String, and other: String) -> Int {
        breakConnections { ($0 == one && $1 == other) || ($0 == other && $1 == one) }
    }

    /// The connections to and from a machine break, and what travels on them is lost. Returns how many.
    @discardableResult
    public func breakConnections(of host: String) -> Int {
        breakConnections { one, other in one == host || other == host }
    }

    private func breakConnections(_ isHit: (String, String) -> Bool) -> Int {
        var count = 0
        for end in openEnds where isHit(end.host, end.peerHost) {
            if end.breakOff() { count += 1 }
        }
        return count
    }

    /// Every link is as it was. What was held up passes at its next attempt; what is broken stays so.
    public func heal() { links = [:] }

    /// The links between two machines are as they were.
    public func heal(between one: String, and other: String) {
        links[LinkName(from: one, to: other)] = nil
        links[LinkName(from: other, to: one)] = nil
    }

    private func change(_ from: String, _ to: String, _ body: (inout LinkCondition) -> Void) {
        var condition = condition(from: from, to: to)
        body(&condition)
        set(condition, from: from, to: to)
    }
}
