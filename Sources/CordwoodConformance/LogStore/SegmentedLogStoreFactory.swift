import CordwoodBase
public import CordwoodIO
public import CordwoodLog
public import CordwoodRaft
public import CordwoodVirtual

/// Makes segmented stores for the kit: in one directory of a machine, or on the faulty disk of a virtual world, whose
/// power it then cuts.
public final class SegmentedLogStoreFactory: LogStoreFactory {
    /// Small segments, so that a few entries fill several.
    public static var smallSegments: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 64 << 10
        options.maximumEntryBytes = 16 << 10
        options.batchBytes = 16 << 10
        options.cacheBytes = 8 << 10
        return options
    }

    public static let identity = StoreIdentity(
        cluster: UniqueID(high: 1, low: 2), node: UniqueID(high: 3, low: 4), replica: 5)

    private let directory: String
    private let options: LogStoreOptions
    private let machine: MachineKind
    private var generation = 0

    private enum MachineKind {
        case seams(Seams)
        case world(VirtualWorld)

        var seams: Seams {
            switch self {
            case .seams(let seams): seams
            case .world(let world): world.seams
            }
        }
    }

    /// Stores below a directory that exists, on any machine.
    public init(
        seams: Seams, directory: String, options: LogStoreOptions = SegmentedLogStoreFactory.smallSegments
    ) {
        machine = .seams(seams)
        self.directory = directory
        self.options = options
    }

    /// Stores on a world's disk, which can crash and fail.
    public init(world: VirtualWorld, options: LogStoreOptions = SegmentedLogStoreFactory.smallSegments) {
        machine = .world(world)
        directory = ""
        self.options = options
    }

    public func open() async throws -> any RaftLogStore {
        try await SegmentedLogStore.open(
            directory: "\(directory)/store-\(generation)", identity: SegmentedLogStoreFactory.identity,
            options: options, seams: machine.seams)
    }

    public var canCrash: Bool {
        if case .world = machine { true } else { false }
    }

    public func crash() async throws {
        guard case .world(let world) = machine else { throw ConformanceFailure("a real machine is not crashed") }
        world.crash()
    }

    public func failNextWrite() -> Bool {
        guard case .world(let world) = machine else { return false }
        world.disk.inject(.inputOutputError(.write, pathContains: "store-\(generation)"))
        return true
    }

    public func destroy() async throws { generation += 1 }
}

extension SegmentedLogStoreFactory {
    /// Opens the store of a world, with small segments: what crash explorations and damage sweeps are made with.
    @Sendable
    public static func openSmall(_ seams: Seams) async throws -> any RaftLogStore {
        try await openSmall(seams, depth: 1)
    }

    /// As `openSmall`, with up to `depth` batches in flight.
    public static func openSmall(_ seams: Seams, depth: Int) async throws -> any RaftLogStore {
        var options = SegmentedLogStoreFactory.smallSegments
        options.depth = depth
        return try await SegmentedLogStore.open(
            directory: "/log", identity: SegmentedLogStoreFactory.identity, options: options, seams: seams)
    }
}
