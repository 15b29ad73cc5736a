import CordwoodRaft

/// The codes that an error reply can start with. A code is here only if a path of the node produces it.
enum ErrorCode: String, CaseIterable {
    case generic = "ERR"
    case invalidArgument = "INVALIDARG"
    case noProtocol = "NOPROTO"
    case notFound = "NOTFOUND"
    case wrongVersion = "WRONGVER"
    case tryAgain = "TRYAGAIN"
    case timeout = "TIMEOUT"
    case clusterDown = "CLUSTERDOWN"
    case notLeader = "NOTLEADER"
    case moved = "MOVED"
    case loading = "LOADING"
    case removed = "REMOVED"
    case transport = "TRANSPORTERR"
    case maxForwards = "MAXFORWARDS"
    case circuitOpen = "CIRCUITOPEN"
    case noSpace = "NOSPACE"
    case poisoned = "POISONED"
    case frozen = "FROZEN"
    case corrupt = "CORRUPT"
    case partitionNotOwned = "PARTNOTOWNED"
    case readError = "READERR"
    case writeError = "WRITEERR"
    case refusedByMachine = "DBOPFAILED"
    case readOnly = "READONLY"
    case shutdown = "SHUTDOWN"
}

/// A request that was turned down: the code and text of its error reply.
struct CommandError: Error, Hashable {
    var code: ErrorCode
    var message: String

    init(_ code: ErrorCode, _ message: String) {
        self.code = code
        self.message = message
    }

    /// A word of the request that the grammar does not allow at its place.
    static func unexpected(_ token: UnsafeRawBufferPointer, expected: String) -> CommandError {
        CommandError(.invalidArgument, "unexpected \(shown(token)): expected \(expected)")
    }

    /// A request that ends before its grammar does.
    static func unfinished(expected: String) -> CommandError {
        CommandError(.invalidArgument, "unexpected end of command: expected \(expected)")
    }

    static func repeated(_ option: String) -> CommandError {
        CommandError(.invalidArgument, "\(option) already specified")
    }

    /// The group has removed this node, which will never again know what is in it.
    static let removed = CommandError(
        .removed, "this member was removed from the group for good: ask one that is in it")

    /// Something that exists could not be read.
    init(reading error: any Error) {
        if case .corrupt(let damage) = error as? LogError {
            self.init(.corrupt, "\(damage)")
        } else {
            self.init(.readError, "\(error)")
        }
    }
}

/// An argument as error texts show it: at most 128 bytes, every byte printable.
func shown(_ bytes: UnsafeRawBufferPointer) -> String {
    String(
        decoding: bytes.prefix(128).map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
}
