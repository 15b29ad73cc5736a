/// Something that is tried on a group of real processes.
public protocol GroupTrial: AnyObject {
    /// How the group is made.
    var design: GroupDesign { get }

    /// Does with the group what it is there to try, from its founding on, and throws the first promise that is broken.
    func act(on stage: TrialStage) async throws

    /// What the run came to, line by line; also that of a run which a violation has ended.
    func report(on stage: TrialStage) -> [String]
}

/// What every trial is told.
public struct TrialSettings: Sendable {
    /// What payloads, requests and faults are drawn from.
    public var seed: UInt64
    /// Voters at the start.
    public var nodes: Int
    /// Requests of all writers a second, at most.
    public var rate: Int
    /// Where the directories of the nodes are made.
    public var folder: String
    public var nodeProgram: String
    public var inspectProgram: String

    public init(seed: UInt64, nodes: Int, rate: Int, folder: String, nodeProgram: String, inspectProgram: String) {
        self.seed = seed
        self.nodes = nodes
        self.rate = rate
        self.folder = folder
        self.nodeProgram = nodeProgram
        self.inspectProgram = inspectProgram
    }
}

/// How a trial wants its group.
public struct GroupDesign: Sendable {
    /// Nodes beyond the voters of the start, which may be added to the group.
    var spares = 0
    /// What every node is given beside its addresses.
    var options: [String] = []
    /// The nodes write their consensus traces.
    var traces = false
    /// The nodes connect to each other directly, not through the fault proxy.
    var isDirect = false
}
