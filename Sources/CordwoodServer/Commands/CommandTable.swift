import CordwoodBase
import CordwoodRESP

/// Every command of the client port, found by name in either case.
struct CommandTable {
    static let descriptions: [CommandDescription] = [
        .init(
            .ping, "PING", arity: -1, [.fast, .loading, .stale], .connection, syntax: "[message]",
            "Answers PONG or the message"),
        .init(
            .echo, "ECHO", arity: 2, [.fast, .loading, .stale], .connection, syntax: "message", "Answers the message"),
        .init(
            .hello, "HELLO", arity: -1, [.fast, .loading, .stale, .noAuth], .connection,
            syntax: "[protover [AUTH username password] [SETNAME name]]",
            "Changes the protocol version and describes the node"),
        .init(
            .auth, "AUTH", arity: -2, [.fast, .loading, .stale, .noAuth], .connection, syntax: "[username] password",
            "Says who the client is"),
        .init(.quit, "QUIT", arity: -1, [.fast, .loading, .stale, .noAuth], .connection, "Closes the connection"),
        .init(
            .reset, "RESET", arity: 1, [.fast, .loading, .stale, .noAuth], .connection,
            "Makes the connection as it was when it began"),
        .init(
            .select, "SELECT", arity: 2, [.fast, .loading, .stale], .connection, syntax: "index",
            "Accepts database 0, the only one"),
        .init(
            .client, "CLIENT", arity: -2, [.loading, .stale], .connection, syntax: "subcommand [argument ...]",
            "Names, lists and ends connections"),
        .init(
            .command, "COMMAND", arity: -1, [.loading, .stale], .server, syntax: "[COUNT|DOCS|INFO|GETKEYS ...]",
            "Describes the commands"),
        .init(
            .info, "INFO", arity: -1, [.loading, .stale], .server, syntax: "[section ...]",
            "Tells what the node is doing"),
        .init(
            .config, "CONFIG", arity: -2, [.admin, .loading, .stale], .server,
            syntax: "GET pattern [pattern ...] | SET option value | RESETSTAT", "Reads and changes options"),
        .init(.dbsize, "DBSIZE", arity: 1, [.readonly, .fast], .server, "Counts the visible events"),
        .init(.time, "TIME", arity: 1, [.fast, .loading, .stale], .server, "Tells the node's time"),
        .init(
            .acl, "ACL", arity: -2, [.loading, .stale], .connection, syntax: "WHOAMI", "Tells the connection's user"),
        .init(
            .readonly, "READONLY", arity: 1, [.fast, .loading, .stale], .cluster, "Allows local reads on a follower"),
        .init(.readwrite, "READWRITE", arity: 1, [.fast, .loading, .stale], .cluster, "Takes READONLY back"),
        .init(.asking, "ASKING", arity: 1, [.fast], .cluster, "Accepted; the node never sends ASK"),
        .init(
            .cluster, "CLUSTER", arity: -2, [.loading, .stale], .cluster, syntax: "subcommand [argument ...]",
            "Describes the group as cluster clients expect it"),
        .init(
            .eappend, "EAPPEND", arity: -3, [.write, .fast], .events, key: 1,
            syntax: "stream_id event_name [EVENT_ID uuid] [PARTITION_KEY uuid] "
                + "[EXPECTED_VERSION number|EMPTY|ANY|EXISTS] [TIMESTAMP ms] [PAYLOAD bytes] [METADATA bytes] "
                + "[ACK QUORUM|DURABLE|BUFFERED]",
            "Appends an event to a stream"),
        .init(
            .emappend, "EMAPPEND", arity: -4, [.write], .events, key: 1,
            syntax: "partition_key (stream_id event_name [EVENT_ID uuid] "
                + "[EXPECTED_VERSION number|EMPTY|ANY|EXISTS] [TIMESTAMP ms] [PAYLOAD bytes] [METADATA bytes])+",
            "Appends events to streams of one partition key, all or none"),
        .init(.eget, "EGET", arity: 2, [.readonly, .fast], .events, syntax: "event_id", "Finds an event by its id"),
        .init(
            .escan, "ESCAN", arity: -4, [.readonly], .events, key: 1,
            syntax: "stream_id start|- end|+ [PARTITION_KEY uuid] [COUNT number]",
            "Reads a stream's events by version"),
        .init(
            .epscan, "EPSCAN", arity: -4, [.readonly], .events, syntax: "partition start|- end|+ [COUNT number]",
            "Reads a partition's events by sequence"),
        .init(
            .esver, "ESVER", arity: -2, [.readonly, .fast], .events, key: 1, syntax: "stream_id [PARTITION_KEY uuid]",
            "Tells the version of a stream's last event"),
        .init(
            .epseq, "EPSEQ", arity: 2, [.readonly, .fast], .events, syntax: "partition",
            "Tells the sequence of a partition's last event"),
        .init(
            .floor, "CORDWOOD.FLOOR", arity: -1, [.admin, .readonly], .administration, syntax: "[partition]",
            "Tells how far the log can be truncated, and who holds it"),
        .init(
            .partition, "CORDWOOD.PARTITION", arity: -2, [.admin], .administration,
            syntax: "STATUS partition [AT index] | LIST [STATE state] | FREEZE partition | UNFREEZE partition",
            "Shows partitions, lets one stand still and go on"),
        .init(
            .log, "CORDWOOD.LOG", arity: -2, [.admin], .administration, syntax: "STATUS | FLUSH | EXPLAIN index",
            "Shows the log, or waits until it is durable"),
        .init(
            .barrier, "CORDWOOD.BARRIER", arity: -5, [.readonly], .administration,
            syntax: "index|NOW TIMEOUT ms *|partition [partition ...]", "Waits until partitions have applied an index"),
        .init(
            .snapshot, "CORDWOOD.SNAPSHOT", arity: -2, [.admin], .administration,
            syntax: "CREATE [partition] | LIST", "Takes and lists machine snapshots"),
        .init(
            .shutdown, "CORDWOOD.SHUTDOWN", arity: -1, [.admin, .loading], .administration, syntax: "[NOW]",
            "Drains and ends the node"),
        .init(
            .help, "CORDWOOD.HELP", arity: -1, [.loading, .stale], .administration, syntax: "[command]",
            "Shows what the administration commands take and do"),
        .init(
            .members, "CORDWOOD.CLUSTER", arity: -2, [.admin, .loading], .administration,
            syntax: "STATUS | ADD node host:port [LEARNER|VOTER] | REMOVE node [CONFIRM token] | PROMOTE node | "
                + "DEMOTE node | REPLACE old new host:port [CONFIRM token] | TRANSFER [node] | STEPDOWN | LEAVE",
            "Shows and changes the group"),
        .init(
            .readmode, "CORDWOOD.READMODE", arity: 2, [.fast, .loading, .stale], .administration,
            syntax: "LOCAL|LINEARIZABLE|LEASE", "Chooses what the reads of the connection show"),
        .init(
            .verify, "CORDWOOD.VERIFY", arity: -1, [.admin], .administration,
            syntax: "[PARTITION partition] [DEEP] [AGAINST node]",
            "Reads everything again, and compares chains with another node; replies a job"),
        .init(
            .repair, "CORDWOOD.REPAIR", arity: -4, [.admin], .administration,
            syntax: "partition from to [FROM node] [CONFIRM token]",
            "Makes a partition's log whole again from what other nodes have"),
        .init(
            .job, "CORDWOOD.JOB", arity: 2, [.admin, .readonly], .administration, syntax: "LIST | job",
            "Shows background jobs and what came of them"),
    ]

    /// Open addressing over the folded names: 0 is empty, else a position in the table + 1.
    private let slots: [UInt8]
    private let names: [[UInt8]]

    private static let slotCount = 128

    init() {
        var slots = [UInt8](repeating: 0, count: CommandTable.slotCount)
        for (position, description) in CommandTable.descriptions.enumerated() {
            invariant(
                Int(description.command.rawValue) == position,
                "command \(description.name) is at \(position) in the table")
            var name = description.name
            var slot = name.withUTF8 { CommandTable.hash(UnsafeRawBufferPointer($0)) }
            while slots[slot] != 0 { slot = (slot + 1) % CommandTable.slotCount }
            slots[slot] = UInt8(position + 1)
        }
        self.slots = slots
        names = CommandTable.descriptions.map { Array($0.name.utf8) }
    }

    /// The command of this name, in either case. It is often the same as the one before.
    func find(_ name: UnsafeRawBufferPointer, after last: Command? = nil) -> Command? {
        if let last, CommandTable.isEqual(names[Int(last.rawValue)], name) { return last }
        var slot = CommandTable.hash(name)
        while slots[slot] != 0 {
            let position = slots[slot] - 1
            if CommandTable.isEqual(names[Int(position)], name) { return Command(rawValue: position) }
            slot = (slot + 1) % CommandTable.slotCount
        }
        return nil
    }

    func description(of command: Command) -> CommandDescription { CommandTable.descriptions[Int(command.rawValue)] }

    private static func isEqual(_ name: [UInt8], _ given: UnsafeRawBufferPointer) -> Bool {
        guard name.count == given.count else { return false }
        for position in 0..<name.count where name[position] != foldedToUpper(given[position]) { return false }
        return true
    }

    /// FNV-1a over the name in capitals; it decides a place in this table and nothing else.
    private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
        var hash: UInt32 = 0x811C_9DC5
        for byte in name { hash = (hash ^ UInt32(foldedToUpper(byte))) &* 0x0100_0193 }
        return Int(hash ^ hash >> 15) & (slotCount - 1)
    }
}
