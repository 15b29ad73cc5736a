import CordwoodIO

/// What a power cut may leave.
///
/// The pending part of an image falls into units that persist independently: each sector of each write, each change of
/// a file's length, each change of a name. A crash state is a choice of a fate for every unit, within two laws: lengths
/// of one file persist in their order, and a change of a name persists only after the earlier changes of that name.
extension DiskImage {
    /// One thing that a crash keeps or loses.
    enum Unit: Sendable {
        /// Bytes of a pending write, within one sector.
        case sector(node: UInt64, sequence: UInt64, offset: UInt64, bytes: ArraySlice<UInt8>)
        case size(node: UInt64, sequence: UInt64, size: UInt64)
        case name(NameChange, sequence: UInt64)

        var sequence: UInt64 {
            switch self {
            case .sector(_, let sequence, _, _), .size(_, let sequence, _), .name(_, let sequence): sequence
            }
        }
    }

    /// What becomes of a unit. Only data turn into garbage; lengths and names that would are lost.
    enum Fate: Hashable, Sendable {
        case kept
        case lost
        /// The sector holds neither the old nor the new bytes.
        case garbage(seed: UInt64)
    }

    /// The pending units in the order in which they came to be.
    func units(sectorBytes: Int) -> [Unit] {
        var units: [Unit] = names.map { .name($0.change, sequence: $0.sequence) }
        let sector = UInt64(sectorBytes)
        for (node, file) in files where file.hasPending {
            for size in file.sizes { units.append(.size(node: node, sequence: size.sequence, size: size.size)) }
            for write in file.writes {
                var offset = write.offset
                while offset < write.end {
                    let end = min(write.end, (offset / sector + 1) * sector)
                    let start = write.bytes.startIndex + Int(offset - write.offset)
                    let bytes = write.bytes[start..<start + Int(end - offset)]
                    units.append(.sector(node: node, sequence: write.sequence, offset: offset, bytes: bytes))
                    offset = end
                }
            }
        }
        return units.enumerated().sorted { ($0.element.sequence, $0.offset) < ($1.element.sequence, $1.offset) }
            .map(\.element)
    }

    /// The image after a crash that decides for each unit, in the order of `units`.
    func afterCrash(_ units: [Unit], _ fate: (Int) -> Fate) -> DiskImage {
        var result = self
        var stuckSizes: Set<UInt64> = []
        var stuckPlaces: Set<Place> = []
        for (position, unit) in units.enumerated() {
            let fate = fate(position)
            switch unit {
            case .sector(let node, _, let offset, let bytes):
                switch fate {
                case .lost: break
                case .kept:
                    bytes.withUnsafeBytes { result.files[node]?.durable.write($0, at: offset) }
                case .garbage(let seed):
                    let random = VirtualRandom(seed: seed)
                    let garbage = bytes.map { _ in UInt8(truncatingIfNeeded: random.next()) }
                    garbage.withUnsafeBytes { result.files[node]?.durable.write($0, at: offset) }
                }
            case .size(let node, _, let size):
                if fate != .kept || stuckSizes.contains(node) {
                    stuckSizes.insert(node)
                } else if var file = result.files.removeValue(forKey: node) {
                    DiskImage.setDurableSize(&file, size)
                    result.files[node] = file
                }
            case .name(let change, _):
                if fate != .kept || change.places.contains(where: stuckPlaces.contains) {
                    stuckPlaces.formUnion(change.places)
                } else {
                    DiskImage.apply(change, to: &result.durableDirectories)
                }
            }
        }
        return result.settled()
    }

    /// The image of a machine that has started again: the cache is empty, what is durable is all there is.
    private func settled() -> DiskImage {
        var result = self
        result.directories = durableDirectories
        result.names = []
        for (node, file) in files {
            var settled = FileState()
            settled.durable = file.durable
            settled.durable.discard(from: file.durable.size)
            settled.cached = settled.durable
            result.files[node] = settled
        }
        result.forgetUnreachable()
        return result
    }

    /// One crash state: each unit kept, lost or, now and then, turned into garbage.
    func crashed(sectorBytes: Int, random: VirtualRandom) -> DiskImage {
        let units = units(sectorBytes: sectorBytes)
        let keptOfEight = random.next(below: 9)
        return afterCrash(units) { _ in
            if random.chance(1, in: 16) { return .garbage(seed: random.next()) }
            return random.chance(keptOfEight, in: 8) ? .kept : .lost
        }
    }

    /// The state in which a clean stop leaves the disk: everything pending has arrived.
    public func flushed() -> DiskImage { afterCrash(units(sectorBytes: 512)) { _ in .kept } }

    /// The states that a crash may leave.
    ///
    /// With up to `exhaustiveUnits` pending units it is every legal subset of them, and each unit as garbage among the
    /// others kept and among the others lost. With more it is `limit` states drawn by the seed: nothing kept, all kept,
    /// every prefix and every single loss as far as the limit goes, the rest at random.
    public func crashStates(
        limit: Int = 256, exhaustiveUnits: Int = 12, sectorBytes: Int = 512, seed: UInt64 = 1
    ) -> CrashStates {
        CrashStates(
            image: self, sectorBytes: sectorBytes, limit: limit, exhaustiveUnits: exhaustiveUnits, seed: seed)
    }
}

/// A sequence of crash states, each made when it is asked for.
public struct CrashStates: Sequence, Sendable {
    /// Things that the crash keeps or loses independently.
    public var pendingUnits: Int { units.count }
    /// Whether every legal subset is among the states.
    public let isExhaustive: Bool
    public var count: Int { plans.count }

    private let image: DiskImage
    private let units: [DiskImage.Unit]
    private let plans: [[DiskImage.Fate]]

    init(image: DiskImage, sectorBytes: Int, limit: Int, exhaustiveUnits: Int, seed: UInt64) {
        self.image = image
        units = image.units(sectorBytes: sectorBytes)
        isExhaustive = units.count <= exhaustiveUnits
        plans =
            isExhaustive
            ? CrashStates.allPlans(units, seed: seed)
            : CrashStates.sampledPlans(units, limit: limit, random: VirtualRandom(seed: seed))
    }

    public func makeIterator() -> AnyIterator<DiskImage> {
        var next = 0
        return AnyIterator {
            guard next < plans.count else { return nil }
            defer { next += 1 }
            return state(next)
        }
    }

    /// The state with the given number, below `count`.
    public func state(_ number: Int) -> DiskImage { image.afterCrash(units) { plans[number][$0] } }

    private static func allPlans(_ units: [DiskImage.Unit], seed: UInt64) -> [[DiskImage.Fate]] {
        var plans: [[DiskImage.Fate]] = []
        for mask in 0..<(1 << units.count) {
            let plan = units.indices.map { mask & (1 << $0) == 0 ? DiskImage.Fate.lost : .kept }
            if isLegal(plan, units) { plans.append(plan) }
        }
        for (position, unit) in units.enumerated() {
            guard case .sector = unit else { continue }
            for others in [DiskImage.Fate.kept, .lost] {
                var plan = [DiskImage.Fate](repeating: others, count: units.count)
                plan[position] = .garbage(seed: seed &+ UInt64(position))
                plans.append(plan)
            }
        }
        return plans
    }

    /// Plans that break a law of persistence come to the same as one that does not, so they are left out.
    private static func isLegal(_ plan: [DiskImage.Fate], _ units: [DiskImage.Unit]) -> Bool {
        var stuckSizes: Set<UInt64> = []
        var stuckPlaces: Set<DiskImage.Place> = []
        for (fate, unit) in zip(plan, units) {
            switch unit {
            case .sector: break
            case .size(let node, _, _):
                if fate == .kept, stuckSizes.contains(node) { return false }
                if fate == .lost { stuckSizes.insert(node) }
            case .name(let change, _):
                if fate == .kept, change.places.contains(where: stuckPlaces.contains) { return false }
                if fate == .lost { stuckPlaces.formUnion(change.places) }
            }
        }
        return true
    }

    private static func sampledPlans(
        _ units: [DiskImage.Unit], limit: Int, random: VirtualRandom
    ) -> [[DiskImage.Fate]] {
        let count = units.count
        var plans: [[DiskImage.Fate]] = [
            [DiskImage.Fate](repeating: .lost, count: count), [DiskImage.Fate](repeating: .kept, count: count),
        ]
        let third = Swift.max(1, limit / 3)
        let step = Swift.max(1, count / third)
        for position in stride(from: 1, to: count, by: step) {
            plans.append((0..<count).map { $0 < position ? .kept : .lost })
            plans.append((0..<count).map { $0 == position ? .lost : .kept })
        }
        while plans.count < limit {
            let keptOfEight = random.next(below: 9)
            let garbageOf64 = random.next(below: 8)
            plans.append(
                (0..<count).map { _ in
                    if random.chance(garbageOf64, in: 64) { return .garbage(seed: random.next()) }
                    return random.chance(keptOfEight, in: 8) ? .kept : .lost
                })
        }
        return Array(plans.prefix(Swift.max(2, limit)))
    }
}
