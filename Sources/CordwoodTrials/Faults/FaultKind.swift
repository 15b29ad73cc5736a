/// What can be done to a group, as the table of counts names it.
public enum FaultKind: String, Hashable, Sendable, CaseIterable {
    case leaderKilled = "leader killed"
    case followerKilled = "follower killed"
    case killedAtStart = "killed again while it starts"
    case everybodyKilled = "all killed at once"
    case leaderPaused = "leader stopped for a time"
    case followerPaused = "follower stopped for a time"
    case restarted = "restarted in order"
    case diskFull = "disk full"
    case partitionLogDamaged = "partition log damaged"
    case logDamaged = "segmented log damaged"

    case halves = "network in two parts"
    case leaderIsolated = "leader cut off"
    case oneWay = "one direction cut"
    case bridge = "bridge"
    case flapping = "flapping link"
    case slowLinks = "slow links"
    case connectionsBroken = "connections broken"

    case nodeAdded = "node added and promoted"
    case nodeRemoved = "node removed"
    case demoted = "demoted and promoted"
    case leadershipMoved = "leadership moved"
    case diskWiped = "disk wiped and replaced"

    /// Strikes on processes and disks, on the network, and what operators do: three lanes that know nothing of each
    /// other, so that each meets the others.
    enum Lane: CaseIterable {
        case machines
        case network
        case operators
    }

    /// What members can only mend from each other.
    static let damages: [FaultKind] = [.partitionLogDamaged, .logDamaged]

    var lane: Lane {
        switch self {
        case .leaderKilled, .followerKilled, .killedAtStart, .everybodyKilled, .leaderPaused, .followerPaused,
            .restarted, .diskFull, .partitionLogDamaged, .logDamaged:
            .machines
        case .halves, .leaderIsolated, .oneWay, .bridge, .flapping, .slowLinks, .connectionsBroken: .network
        case .nodeAdded, .nodeRemoved, .demoted, .leadershipMoved, .diskWiped: .operators
        }
    }
}
