/// The commands that the dispatcher knows. Raw values are positions in the command table.
enum Command: UInt8, CaseIterable {
    case ping, echo, hello, auth, quit, reset, select, client
    case command, info, config, dbsize, time, acl
    case readonly, readwrite, asking, cluster
    case eappend, emappend, eget, escan, epscan, esver, epseq
    case floor, partition, log, barrier, snapshot, shutdown, help
    /// CORDWOOD.CLUSTER and CORDWOOD.READMODE.
    case members, readmode
    case verify, repair, job

    /// True for the commands whose replies wait for a commit while further ones are read: appends. Every other command
    /// starts when all appends before it on its connection have been answered, so that a writer reads its own writes.
    var isAppend: Bool { self == .eappend || self == .emappend }

    /// True for commands that may wait for a disk or for progress.
    var mayWait: Bool {
        switch self {
        case .dbsize, .eget, .escan, .epscan, .esver, .epseq, .partition, .log, .barrier, .snapshot, .shutdown,
            .members:
            true
        default: false
        }
    }
}

/// What the command table says of one command; COMMAND, DOCS, GETKEYS and CORDWOOD.HELP are rendered from it.
struct CommandDescription {
    struct Flags: OptionSet {
        let rawValue: UInt16

        static let write = Flags(rawValue: 1 << 0)
        static let readonly = Flags(rawValue: 1 << 1)
        static let admin = Flags(rawValue: 1 << 2)
        static let fast = Flags(rawValue: 1 << 3)
        static let loading = Flags(rawValue: 1 << 4)
        static let noAuth = Flags(rawValue: 1 << 5)
        static let stale = Flags(rawValue: 1 << 6)

        private static let names: [(Flags, String)] = [
            (.write, "write"), (.readonly, "readonly"), (.admin, "admin"), (.fast, "fast"), (.loading, "loading"),
            (.noAuth, "no_auth"), (.stale, "stale"),
        ]

        /// As COMMAND spells them.
        var names: [String] { Flags.names.filter { contains($0.0) }.map(\.1) }
    }

    enum Group: String {
        case connection
        case server
        case cluster
        case events
        case administration
    }

    var command: Command
    /// In capitals, as the documentation writes it.
    var name: String
    /// Words of a request, the name included; negative: at least so many.
    var arity: Int
    var flags: Flags
    var group: Group
    /// Position of the one key, 0 for none.
    var keyPosition: Int
    /// The grammar of the arguments.
    var syntax: String
    var summary: String

    init(
        _ command: Command, _ name: String, arity: Int, _ flags: Flags, _ group: Group, key keyPosition: Int = 0,
        syntax: String = "", _ summary: String
    ) {
        self.command = command
        self.name = name
        self.arity = arity
        self.flags = flags
        self.group = group
        self.keyPosition = keyPosition
        self.syntax = syntax
        self.summary = summary
    }

    func accepts(argumentCount: Int) -> Bool { arity >= 0 ? argumentCount == arity : argumentCount >= -arity }
}
