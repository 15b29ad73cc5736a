/// What came of a seed.
public struct SimulationReport: Sendable {
    public var seed: UInt64
    public var traceHash: UInt64
    public var virtualNanoseconds: UInt64
    public var faults: Set<FaultKind>
    /// Whether the faults left a sound majority, so that the group had to serve in the end.
    public var isFair: Bool
    /// The workload and the options of the seed, in words.
    public var setup: String
    public var acknowledged: Int
    public var denied: Int
    public var unknown: Int
    public var reads: Int
    public var elections: Int
    /// Configurations that were in force.
    public var configurations: Int
    /// Directories that were opened again and compared with what they had held.
    public var recoveries: Int
    /// Rare states that the run has been in.
    public var markers: Set<Marker>
    public var violation: Violation?
}
