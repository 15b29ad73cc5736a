import CordwoodNode
import CordwoodRaft

/// Why the node could not be opened or closed: one line for the operator, and the code that the process ends with.
struct OpeningFailure {
    var text: String
    var code: ExitCode

    init(_ error: NodeError) {
        switch error {
        case .log(let error): self.init(error)
        case .configuration(let reason): self.init(reason, .configuration)
        case .inconsistent(let reason): self.init(reason, .damagedData)
        case .rollbackRefused(let index, let reason):
            self.init("nothing is rolled back: entry \(index) would be dropped, and \(reason)", .configuration)
        case .core(let error): self.init("\(error)", .damagedData)
        case .removed(let replica):
            self.init(
                "the group has removed this member, replica \(replica), and its directory is not whole: let the node "
                    + "join with an empty one", .configuration)
        }
    }

    init(_ error: LogError) {
        switch error {
        case .corrupt(let damage): self.init("\(damage)", .damagedData)
        case .locked(let path): self.init("another process holds \(path)", .locked)
        case .wrongIdentity(let reason), .unsupportedVersion(let reason), .invalidArgument(let reason):
            self.init(reason, .configuration)
        case .poisoned(let reason), .noSpace(let reason), .unavailable(let reason): self.init(reason, .inputOutput)
        case .notFound, .purged, .stale, .closed: self.init("\(error)", .failure)
        }
    }

    private init(_ text: String, _ code: ExitCode) {
        self.text = text
        self.code = code
    }
}
