import CordwoodBase
import CordwoodRaft
import Testing

/// An entry with what a test wants to recognise it by.
struct GroupEntry: Hashable {
    enum Body: Hashable {
        case empty
        case command(Int)
        case change(ConfigurationChange)
    }

    var term: Term
    var body: Body
    var size = 8

    var head: EntryHead {
        if case .change = body { return EntryHead(term: term, size: UInt32(size), type: .configuration) }
        return EntryHead(term: term, size: UInt32(size), type: body == .empty ? .noOperation : .application)
    }
}

struct GroupSnapshot: Hashable {
    var position = LogPosition(index: 0, term: 0)
    var configuration: GroupConfiguration
    /// Everything handed out up to the position.
    var commands: [Int] = []
}

/// A message with what its node attached.
struct GroupPacket: Hashable {
    var message: RaftMessage
    var entries: [GroupEntry] = []
    var snapshot: GroupSnapshot?
    var proposal: GroupEntry?
}

/// What a replica's disk holds: one ordered stream of writes, here folded into its result.
struct GroupDisk: Hashable {
    var vote = Vote.none
    /// The commit index that was written with the last entries. It must be: a replica that holds a configuration entry
    /// knows by it that the configuration before is committed, also after a restart.
    var commitHint: RaftIndex = 0
    var snapshot: GroupSnapshot
    /// Entries behind the snapshot.
    var entries: [GroupEntry] = []

    var last: RaftIndex { snapshot.position.index + UInt64(entries.count) }

    func entry(_ index: RaftIndex) -> GroupEntry? {
        if index <= snapshot.position.index || index > last { return nil }
        return entries[Int(index - snapshot.position.index) - 1]
    }

    mutating func compact(to boundary: GroupSnapshot) {
        entries.removeFirst(Int(boundary.position.index - snapshot.position.index))
        snapshot = boundary
    }

    mutating func write(_ new: [GroupEntry], from index: RaftIndex) {
        let place = Int(index - snapshot.position.index) - 1
        entries.removeSubrange(place...)
        entries.append(contentsOf: new)
    }
}

/// A core with its disk, and with what became of it: the part of a node that a test needs.
struct GroupNode {
    /// What goes to the disk, in order, and what waits behind it.
    enum Write {
        case entries(from: RaftIndex, [GroupEntry], commit: RaftIndex, DurabilityToken)
        case vote(Vote, DurabilityToken)
        case snapshot(GroupSnapshot)
        case message(GroupPacket)
    }

    var core: RaftCore
    var effects = RaftEffects()
    /// The log as the core sees it: what is on disk, with everything that is still to be written.
    var log: GroupDisk
    var disk: GroupDisk
    var writes: [Write] = []
    /// Writes wait until the test lets them go on.
    var isDiskHeld = false
    /// Handing out waits until the test lets it go on.
    var isApplyHeld = false

    var applied: GroupSnapshot
    /// The state behind each applied entry.
    var history: [RaftIndex: GroupSnapshot] = [:]
    var toApply: Range<RaftIndex>?
    var accepted: [RaftIndex: GroupEntry] = [:]
    var readsReady: [UInt64: RaftIndex] = [:]
    var readsFailed: Set<UInt64> = []
    var aborted: [(Range<RaftIndex>, Term)] = []
    var isDown = false
    var restarts: UInt64 = 0

    init(core: RaftCore, disk: GroupDisk) {
        self.core = core
        self.disk = disk
        log = disk
        applied = disk.snapshot
    }

    mutating func step(_ input: RaftInput) { core.step(input, into: &effects) }

    mutating func propose(_ entry: GroupEntry) -> ProposalAnswer {
        let answer: ProposalAnswer
        if case .change(let change) = entry.body {
            answer = core.proposeChange(change, size: entry.size, into: &effects)
        } else {
            answer = core.propose(.application, size: entry.size, into: &effects)
        }
        switch answer {
        case .accepted(let position):
            accepted[position.index] = GroupEntry(term: position.term, body: entry.body, size: entry.size)
        case .acceptedAsEmpty(let position, _):
            accepted[position.index] = GroupEntry(term: position.term, body: .empty, size: 0)
        case .forwarded, .refused: break
        }
        return answer
    }

    mutating func receive(_ packet: GroupPacket) {
        if let snapshot = packet.snapshot {
            core.receiveSnapshot(packet.message, configuration: snapshot.configuration, into: &effects)
        } else {
            let heads = packet.entries.map(\.head)
            core.receive(packet.message, entries: heads.span, into: &effects)
        }
    }

    mutating func apply(_ entry: GroupEntry, at index: RaftIndex) {
        switch entry.body {
        case .empty: break
        case .command(let command): applied.commands.append(command)
        case .change(let change): try? core.applyConfiguration(change, at: index, into: &effects)
        }
        applied.position = LogPosition(index: index, term: entry.term)
        applied.configuration = core.configuration
        history[index] = applied
    }

    var terms: [UInt64] { log.entries.map(\.term.rawValue) }
    var commands: [Int] { applied.commands }
}

/// A small generator, the same on every machine.
struct GroupRandom: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int(next() % 100) < percent }
}
