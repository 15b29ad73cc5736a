import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodNode
import CordwoodVirtual

/// What goes wrong with disks: what passes, and what stays until somebody sees to it.
extension Nemesis {
    // MARK: What passes

    func failDisk(of node: SimulatedNode, _ kind: FaultKind) {
        let disk = node.host.disk
        let isWrite = random.chance(1, in: 2)
        switch kind {
        case .slowDisk:
            disk.inject(
                DiskFault(
                    isWrite ? .write : .sync, times: Int(random.next(in: 1...20)),
                    .stall(nanoseconds: random.next(in: 10_000_000...2_000_000_000))))
        case .failingDisk: disk.inject(.inputOutputError(isWrite ? .write : .sync, pathContains: "data/log"))
        case .failingPartitions:
            disk.inject(
                .inputOutputError(
                    isWrite ? .write : .sync, pathContains: "data/partitions", skip: Int(random.next(below: 4))))
        default:
            let normal = FaultyDisk.Options().capacityBytes
            disk.options.capacityBytes = disk.usedBytes + random.next(below: 200_000)
            simulation.markers.reach(.fullDisk)
            later(100_000_000...3_000_000_000) { disk.options.capacityBytes = normal }
        }
    }

    // MARK: What stays

    /// Files whose contents nobody writes any more: a fault in one of them can be told from a crash.
    private func closedFiles(of node: SimulatedNode) -> [(path: String, marker: Marker)] {
        let image = node.host.disk.image
        let paths = image.paths
        let segments = paths.filter { $0.contains("/log/") && $0.hasSuffix(".seg") }
        // The newest ones are being written, or spare, or a promise for them is on its way.
        let open = Set((node.node?.segments ?? []).suffix(2).map { "/\($0.path)" })
        let known = Set((node.node?.segments ?? []).map { "/\($0.path)" })
        var files = segments.filter { known.contains($0) && !open.contains($0) }
            .map { (path: $0, marker: Marker.damagedLog) }
        files += paths.filter { $0.contains("/partitions/") && $0.hasSuffix(".log") }
            .map { (path: $0, marker: Marker.damagedPartition) }
        files += paths.filter { $0.contains("/snapshots/") }.map { (path: $0, marker: Marker.damagedSnapshot) }
        return files.filter { !(image.contents($0.path) ?? []).isEmpty }
    }

    func damageDisk(of node: SimulatedNode, _ kind: FaultKind) {
        guard node.standing == .member, node.isOpen, let groupOperator = simulation.groupOperator,
            simulation.atlas.mayDamage(node.replica, in: groupOperator.configurations)
        else { return }
        let files = closedFiles(of: node)
        guard !files.isEmpty else { return }
        let file = files[Int(random.next(below: UInt64(files.count)))]
        let length = UInt64(node.host.disk.image.contents(file.path)?.count ?? 0)
        guard length > 0 else { return }
        let offset = random.next(below: length)
        let sector = UInt64(node.host.disk.options.sectorBytes)
        let start = offset / sector * sector
        simulation.markers.reach(file.marker)
        simulation.atlas.damage(node.replica)
        switch kind {
        case .bitRot:
            let mask = UInt8(1) << UInt8(random.next(below: 8))
            node.host.disk.damage { $0.flip(file.path, at: offset, mask: mask) }
        case .readErrors:
            node.host.disk.inject(
                DiskFault(
                    .read, pathContains: String(file.path.dropFirst()), offsets: start..<start + sector, times: .max,
                    .fail(.device, errorNumber: 5)))
        default:
            // A write that never came, or one that came to another place than its own.
            if random.chance(1, in: 2) {
                node.host.disk.damage { $0.zero(file.path, start..<min(length, start + sector)) }
            } else {
                let from = random.next(below: length) / sector * sector
                node.host.disk.damage { $0.copy(file.path, from: from, to: start, count: Int(sector)) }
            }
        }
    }
}
