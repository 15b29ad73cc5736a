import CordwoodIO
import CordwoodVirtual

/// What may go wrong in a run, and what operators may do meanwhile.
public enum FaultKind: String, Hashable, Sendable, CaseIterable {
    /// The power of a machine fails: unsynced writes are lost, torn or kept.
    case crash
    /// A process ends at once; what it wrote is on its disk.
    case kill
    /// A machine stands still for a while.
    case pause
    /// A node is closed in order and started again.
    case restart
    /// One machine, or a part of them, is cut off.
    case isolate
    case partition
    /// A link is cut in one direction.
    case oneWay
    /// Two halves that only one machine reaches both of.
    case bridge
    /// Links that are slow, lose packets, break connections, or let nothing through for a while.
    case slowLinks
    case lossyLinks
    case breakingLinks
    case clog
    /// Clocks that run apart, and wall clocks that jump.
    case clockDrift
    case clockJump
    /// An operator moves leadership.
    case transfer
    /// A disk is slow, is full for a while, or fails a write or a sync of the segmented log or of a partition's.
    case slowDisk
    case fullDisk
    case failingDisk
    case failingPartitions
    /// Laggards are brought up by snapshots soon.
    case shortRetention
    /// Operators add, promote, demote, replace and remove nodes, and removed ones come back.
    case membership
    /// A machine loses its disk.
    case wipedDisk
    /// Bits rot in files that are closed, sectors of them cannot be read, writes went elsewhere or nowhere.
    case bitRot
    case readErrors
    case misplacedWrites

    /// A part of them for one seed: each is switched on with even chances, so most pairs meet in some seed; those that
    /// take a machine out for long are rarer.
    static func draw(_ random: VirtualRandom) -> Set<FaultKind> {
        Set(allCases.filter { random.chance($0.isLasting ? 1 : 2, in: 4) })
    }

    /// Whether a disk stays damaged, or gone, until somebody does something about it.
    var isLasting: Bool {
        switch self {
        case .wipedDisk, .bitRot, .readErrors, .misplacedWrites: true
        default: false
        }
    }
}
