import CordwoodOptions
import CordwoodRESP

/// The options of the client port, as its code reads them.
struct ServerSettings {
    var requestLimits: RequestLimits
    var defaultProtocol: ProtocolVersion
    var maxClients: Int
    var maxEventBytes: Int
    var maxTransactionEvents: Int
    var maxScanCount: Int
    var maxScanBytes: Int
    var outputBudgetBytes: Int
    var clientMemoryBytes: Int
    /// 0 = off.
    var idleTimeoutNanoseconds: UInt64
    var requestTimeoutNanoseconds: UInt64
    var replyTimeoutNanoseconds: UInt64
    var strictVersioning: Bool
    var routing: RoutingChoice
    var readMode: ReadMode
    /// What clients of other nodes are told to connect to; `nil` tells them the address that is listened on.
    var advertisedAddress: Endpoint?

    init(_ options: OptionValues) {
        requestLimits = RequestLimits(
            maxFrameBytes: Int(options[NodeOption.maxFrame]), maxInlineBytes: RequestLimits.standard.maxInlineBytes,
            maxArguments: RequestLimits.standard.maxArguments)
        defaultProtocol = ProtocolVersion(rawValue: options[NodeOption.defaultProtocol]) ?? .resp2
        maxClients = options[NodeOption.maxClients]
        maxEventBytes = Int(options[NodeOption.maxEvent])
        maxTransactionEvents = options[NodeOption.maxTransactionEvents]
        maxScanCount = options[NodeOption.maxScan]
        maxScanBytes = Int(options[NodeOption.maxScanBytes])
        outputBudgetBytes = Int(options[NodeOption.outputBudget])
        clientMemoryBytes = Int(options[NodeOption.clientMemory])
        idleTimeoutNanoseconds = options[NodeOption.idleTimeout]
        requestTimeoutNanoseconds = options[NodeOption.requestTimeout]
        replyTimeoutNanoseconds = options[NodeOption.replyTimeout]
        routing = options[NodeOption.routing]
        readMode = options[NodeOption.readsMode]
        advertisedAddress = options[NodeOption.advertisedClientAddress]
        strictVersioning = options[NodeOption.strictVersioning]
    }
}
