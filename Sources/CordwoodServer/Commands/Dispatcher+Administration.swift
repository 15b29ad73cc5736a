import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodNode
import CordwoodRESP
import CordwoodRaft

/// The CORDWOOD family: what the node holds, and the actions of an operator.
extension Dispatcher {
    // MARK: CORDWOOD.FLOOR

    func floor(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var arguments = ArgumentCursor(request)
        var report = server.node.floorReport()
        if !arguments.isAtEnd {
            let partition = try events.partition(&arguments)
            report.heldBy.removeAll { $0.partition != partition }
        }
        try arguments.end()
        connection.output.map(4)
        connection.output.simple("floor")
        connection.output.integer(report.floor.rawValue)
        connection.output.simple("durable_index")
        connection.output.integer(report.durableIndex.rawValue)
        connection.output.simple("reclaimable_bytes")
        connection.output.integer(report.reclaimableBytes)
        connection.output.simple("held_by")
        connection.output.array(report.heldBy.count)
        for holder in report.heldBy {
            connection.output.map(4)
            connection.output.simple("partition")
            if let partition = holder.partition {
                connection.output.integer(partition.rawValue)
            } else {
                connection.output.null()
            }
            connection.output.simple("replica")
            if let replica = holder.replica {
                connection.output.integer(replica.rawValue)
            } else {
                connection.output.null()
            }
            connection.output.simple("reason")
            connection.output.simple(holder.reason.rawValue)
            connection.output.simple("index")
            connection.output.integer(holder.index.rawValue)
        }
    }

    // MARK: CORDWOOD.PARTITION

    func partition(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        let name = request[1]
        switch true {
        case name.matches("STATUS"):
            let partition = try events.partition(&arguments)
            let index = arguments.take("AT") ? PartitionLogIndex(try arguments.number("an index")) : nil
            try arguments.end(expected: "AT")
            guard let status = server.node.partitionStatus(of: partition) else { throw partitionMissing(partition) }
            let chain: (PartitionLogIndex, ChainValue)? =
                if let index { try await chain(of: partition, at: index) } else { nil }
            describe(status, chain: chain, to: &connection.output)
        case name.matches("LIST"):
            let state = arguments.take("STATE") ? try arguments.next("a state").text.lowercased() : nil
            try arguments.end(expected: "STATE")
            let statuses = server.partitionStatuses.filter { state == nil || server.stateName(of: $0) == state }
            connection.output.array(statuses.count)
            for status in statuses { describe(status, to: &connection.output) }
        case name.matches("FREEZE"):
            let partition = try events.partition(&arguments)
            try arguments.end()
            guard await server.node.freeze(partition) else {
                throw CommandError(.tryAgain, "partition \(partition) cannot stand still now")
            }
            connection.output.simple("OK")
        case name.matches("UNFREEZE"):
            let partition = try events.partition(&arguments)
            try arguments.end()
            guard server.node.unfreeze(partition) else {
                throw CommandError(
                    .generic, "partition \(partition) cannot go on: it is not frozen, or its files need a restart")
            }
            connection.output.simple("OK")
        default: throw unknownSubcommand(name, of: "CORDWOOD.PARTITION")
        }
    }

    /// The partition chain at an index, and that index; `nil` when the partition log does not hold it.
    private func chain(
        of partition: PartitionID, at index: PartitionLogIndex
    ) async throws(CommandError) -> (PartitionLogIndex, ChainValue)? {
        do throws(LogError) {
            return try await server.node.partitionChain(of: partition, at: index).map { (index, $0) }
        } catch { throw CommandError(log: error) }
    }

    private func partitionMissing(_ partition: PartitionID) -> CommandError {
        CommandError(.notFound, "partition \(partition) not found: the node has \(server.partitionCount)")
    }

    private func describe(
        _ status: PartitionStatus, chain: (PartitionLogIndex, ChainValue)? = nil, to output: inout ReplyBuffer
    ) {
        let numbers: [(StaticString, UInt64)] = [
            ("partition", status.partition.rawValue), ("next", status.nextIndex.rawValue),
            ("logged", status.progress.logged.rawValue), ("confirmed", status.progress.confirmed.rawValue),
            ("applied", status.progress.applied.rawValue), ("persisted", status.progress.persisted.rawValue),
            ("applied_raft_index", status.appliedRaftIndex.rawValue), ("watermark", status.watermark),
            ("inflight", UInt64(status.inflightEntries)), ("inflight_bytes", UInt64(status.inflightBytes)),
            ("backlog_age_ms", status.backlogAgeNanoseconds / 1_000_000),
        ]
        let damage = server.node.damagedPartitions.first { $0.partition == status.partition }
        output.map(numbers.count + 3 + (damage == nil ? 0 : 1) + (chain == nil ? 0 : 1))
        for (key, value) in numbers {
            output.simple(key)
            output.integer(value)
        }
        output.simple("floor_index")
        if let needed = status.oldestNeeded { output.integer(needed.rawValue) } else { output.null() }
        output.simple("master")
        if let master = status.master { output.integer(master.rawValue) } else { output.null() }
        output.simple("state")
        output.simple(server.stateName(of: status))
        if let damage {
            output.simple("damage")
            output.bulk("\(damage.state.rawValue): \(damage.reason)")
        }
        guard let chain else { return }
        output.simple("chain")
        output.map(2)
        output.simple("index")
        output.integer(chain.0.rawValue)
        output.simple("value")
        output.simple("\(chain.1)")
    }

    // MARK: CORDWOOD.LOG

    func log(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        let name = request[1]
        switch true {
        case name.matches("STATUS"): logStatus(on: connection)
        case name.matches("EXPLAIN"): try await explain(request, on: connection)
        case name.matches("FLUSH"):
            do throws(LogError) { try await server.node.flush() } catch { throw CommandError(log: error) }
            connection.output.simple("OK")
        default: throw unknownSubcommand(name, of: "CORDWOOD.LOG")
        }
    }

    /// What the log holds at an index, with the entry chain there: equal on all replicas that have committed it.
    private func explain(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        let index = RaftIndex(try arguments.number("an index"))
        try arguments.end()
        let entry: Entry
        do throws(LogError) { entry = try await server.node.logEntry(at: index) } catch {
            switch error {
            case .purged, .notFound: throw CommandError(.notFound, "entry \(index) not found in the log")
            default: throw CommandError(log: error)
            }
        }
        connection.output.map(6)
        let numbers: [(StaticString, UInt64)] = [
            ("index", entry.index.rawValue), ("term", entry.term.rawValue),
            ("payload_bytes", UInt64(entry.payload.count)), ("slices", UInt64(entry.slices.count)),
        ]
        for (key, value) in numbers {
            connection.output.simple(key)
            connection.output.integer(value)
        }
        connection.output.simple("type")
        connection.output.simple("\(entry.type)")
        connection.output.simple("chain")
        connection.output.simple("\(entry.chain)")
    }

    private func logStatus(on connection: ClientConnection) {
        let log = server.node.status.log
        connection.output.map(7)
        let numbers: [(StaticString, UInt64)] = [
            ("first_index", log.startIndex.rawValue), ("last_index", log.nextIndex.previous.rawValue),
            ("durable_index", log.durableIndex.rawValue), ("commit_hint", log.commitHint.rawValue),
            ("term", log.vote.term.rawValue), ("epoch", log.epoch.rawValue),
        ]
        for (key, value) in numbers {
            connection.output.simple(key)
            connection.output.integer(value)
        }
        connection.output.simple("state")
        connection.output.simple("\(log.health)")
    }

    // MARK: CORDWOOD.BARRIER

    func barrier(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request)
        let status = server.node.status
        let index = arguments.take("NOW") ? status.commit : RaftIndex(try arguments.number("an index or NOW"))
        guard arguments.take("TIMEOUT") else { throw .unexpected(try arguments.next("TIMEOUT"), expected: "TIMEOUT") }
        let milliseconds = min(try arguments.number("milliseconds"), 86_400_000)
        var partitions: [PartitionID]?
        if !arguments.take("*") {
            var named = [try events.partition(&arguments)]
            while !arguments.isAtEnd { named.append(try events.partition(&arguments)) }
            partitions = named
        }
        try arguments.end()
        let result = await server.node.barrier(
            through: index, partitions: partitions, timeoutNanoseconds: milliseconds * 1_000_000)
        switch result {
        case .applied: connection.output.simple("OK")
        case .timedOut(let lags):
            let text = lags.map { "\($0.partition)=\($0.pendingEntries)" }.joined(separator: " ")
            throw CommandError(.timeout, "not applied yet, entries behind by partition: \(text)")
        }
    }

    // MARK: CORDWOOD.SNAPSHOT

    func snapshot(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request, from: 2)
        let name = request[1]
        switch true {
        case name.matches("CREATE"):
            if arguments.isAtEnd {
                var taken: [(PartitionID, PartitionLogIndex?)] = []
                for status in server.partitionStatuses {
                    taken.append((status.partition, await server.node.machines.snapshot(status.partition)))
                }
                connection.output.array(taken.count)
                for (partition, index) in taken { describe(partition, index, to: &connection.output) }
            } else {
                let partition = try events.partition(&arguments)
                try arguments.end()
                let index = await server.node.machines.snapshot(partition)
                describe(partition, index, to: &connection.output)
            }
        case name.matches("LIST"):
            try arguments.end()
            try await listSnapshots(on: connection)
        default: throw unknownSubcommand(name, of: "CORDWOOD.SNAPSHOT")
        }
    }

    private func describe(_ partition: PartitionID, _ index: PartitionLogIndex?, to output: inout ReplyBuffer) {
        output.map(2)
        output.simple("partition")
        output.integer(partition.rawValue)
        output.simple("index")
        if let index { output.integer(index.rawValue) } else { output.null() }
    }

    private func listSnapshots(on connection: ClientConnection) async throws(CommandError) {
        var found: [SnapshotHeader] = []
        for status in server.partitionStatuses {
            do throws(IOError) {
                found += try await server.node.machines.snapshots.list(status.partition)
            } catch {
                throw CommandError(reading: error)
            }
        }
        connection.output.array(found.count)
        for header in found {
            let numbers: [(StaticString, UInt64)] = [
                ("partition", header.partition.rawValue), ("index", header.index.rawValue),
                ("raft_index", header.raftIndex.rawValue), ("term", header.term.rawValue),
                ("events", header.eventCount),
            ]
            connection.output.map(numbers.count)
            for (key, value) in numbers {
                connection.output.simple(key)
                connection.output.integer(value)
            }
        }
    }

    // MARK: CORDWOOD.READMODE

    func readMode(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var arguments = ArgumentCursor(request)
        if arguments.take("LOCAL") {
            connection.readMode = .local
        } else if arguments.take("LINEARIZABLE") {
            connection.readMode = .linearizable
        } else if arguments.take("LEASE") {
            guard server.node.hasLeaseReads else {
                throw CommandError(.invalidArgument, "LEASE needs raft.clock-drift, which bounds how clocks run apart")
            }
            connection.readMode = .lease
        } else {
            throw .unexpected(
                try arguments.next("LOCAL, LINEARIZABLE or LEASE"), expected: "LOCAL, LINEARIZABLE or LEASE")
        }
        connection.output.simple("OK")
    }

    // MARK: CORDWOOD.SHUTDOWN and CORDWOOD.HELP

    func shutdown(_ request: Request, on connection: ClientConnection) async throws(CommandError) {
        var arguments = ArgumentCursor(request)
        _ = arguments.take("NOW")
        try arguments.end(expected: "NOW")
        connection.output.simple("OK")
        server.onShutdownRequested?()
    }

    func help(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var found = CommandTable.descriptions.filter { $0.group == .administration }
        if request.count == 2 {
            let name = request[1].text.uppercased()
            found = CommandTable.descriptions.filter { $0.name == name || $0.name == "CORDWOOD.\(name)" }
            if found.isEmpty { throw CommandError(.notFound, "command \(shown(request[1])) not found") }
        }
        lines(found.map { "\($0.name) \($0.syntax): \($0.summary)" }, on: connection)
    }
}

extension CommandError {
    /// The log could not do what an operator asked of it.
    init(log error: LogError) {
        switch error {
        case .corrupt(let damage): self.init(.corrupt, "\(damage)")
        case .poisoned(let reason): self.init(.poisoned, reason)
        case .noSpace(let reason): self.init(.noSpace, reason)
        case .closed: self.init(.shutdown, "the node is draining")
        default: self.init(.readError, "\(error)")
        }
    }
}
