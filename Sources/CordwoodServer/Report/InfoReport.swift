import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP

/// What INFO replies: the sections asked for, each from figures that the node has at this moment.
struct InfoReport {
    let server: Server

    /// A section with its writer, and whether it belongs to the reply of a plain INFO.
    private struct Section: Sendable {
        var name: String
        var isDefault: Bool
        var write: @Sendable (InfoReport, inout InfoText) -> Void
    }

    private static let sections: [Section] = [
        Section(name: "server", isDefault: true) { $0.writeServer(&$1) },
        Section(name: "clients", isDefault: true) { $0.writeClients(&$1) },
        Section(name: "memory", isDefault: true) { $0.writeMemory(&$1) },
        Section(name: "persistence", isDefault: true) { $0.writePersistence(&$1) },
        Section(name: "stats", isDefault: true) { $0.writeStatistics(&$1) },
        Section(name: "replication", isDefault: true) { $0.writeReplication(&$1) },
        Section(name: "raft", isDefault: true) { $0.writeRaft(&$1) },
        Section(name: "log", isDefault: true) { $0.writeLog(&$1) },
        Section(name: "partitions", isDefault: false) { $0.writePartitions(&$1, limit: 64) },
        Section(name: "watermark", isDefault: true) { $0.writeWatermark(&$1) },
        Section(name: "cpu", isDefault: true) { $0.writeProcessor(&$1) },
        Section(name: "commandstats", isDefault: false) { $0.writeCommands(&$1) },
        Section(name: "errorstats", isDefault: true) { $0.writeErrors(&$1) },
        Section(name: "latencystats", isDefault: false) { $0.writeLatencies(&$1) },
        Section(name: "cluster", isDefault: true) { $0.writeCluster(&$1) },
        Section(name: "keyspace", isDefault: true) { $0.writeKeyspace(&$1) },
    ]

    /// The sections of these names in the report's own order; no name at all asks for the default set. A name that
    /// there is not adds nothing.
    func text(sections names: [String]) -> String {
        var info = InfoText()
        if names == ["partitions", "all"] {
            writePartitions(&info, limit: .max)
            return info.text
        }
        let wantsAll = names.contains("all") || names.contains("everything")
        let wantsDefault = names.isEmpty || names.contains("default")
        for section in InfoReport.sections
        where wantsAll || wantsDefault && section.isDefault || names.contains(section.name) {
            section.write(self, &info)
        }
        return info.text
    }

    // MARK: The server itself

    private func writeServer(_ info: inout InfoText) {
        let uptime = (server.seams.clock.monotonicNanoseconds - server.startedNanoseconds) / 1_000_000_000
        info.section("Server")
        info.line("redis_version", "7.0.0")
        info.line("cordwood_version", server.process.version)
        info.line("redis_mode", server.settings.routing == .moved ? "cluster" : "standalone")
        info.line("os", server.process.operatingSystem)
        info.line("arch_bits", 64)
        info.line("process_id", server.process.processID)
        info.line("run_id", server.process.runID)
        info.line("tcp_port", server.address?.port ?? 0)
        info.line("uptime_in_seconds", uptime)
        info.line("uptime_in_days", uptime / 86_400)
        info.line("hz", 1)
        info.line("executable", server.process.executable)
        info.line("config_file", server.process.configurationFile)
        info.line("io_backend", server.process.ioBackend)
        info.line("io_threads", 1)
        info.line("format_version", 1)
    }

    private func writeClients(_ info: inout InfoText) {
        let clients = server.clients.ordered
        info.section("Clients")
        info.line("connected_clients", clients.count)
        info.line("maxclients", server.settings.maxClients)
        info.line("blocked_clients", clients.filter { !$0.appends.isEmpty }.count)
        info.line("client_input_bytes", clients.reduce(0) { $0 + $1.input.count })
        info.line("client_output_bytes", clients.reduce(0) { $0 + $1.output.count })
    }

    private func writeMemory(_ info: inout InfoText) {
        let memory = server.process.memoryUse()
        info.section("Memory")
        info.line("used_memory", memory.residentBytes)
        info.line("used_memory_human", InfoText.human(memory.residentBytes))
        info.line("used_memory_rss", memory.residentBytes)
        info.line("used_memory_peak", memory.peakResidentBytes)
        info.line("maxmemory", 0)
        info.line("client_memory_bytes", server.clients.ordered.reduce(0) { $0 + $1.memoryBytes })
    }

    private func writeStatistics(_ info: inout InfoText) {
        let statistics = server.statistics
        info.section("Stats")
        info.line("total_connections_received", statistics.connectionsAccepted)
        info.line("total_commands_processed", statistics.commandsProcessed)
        info.line("instantaneous_ops_per_sec", statistics.commandsPerSecond)
        info.line("total_net_input_bytes", statistics.receivedBytes)
        info.line("total_net_output_bytes", statistics.sentBytes)
        info.line("rejected_connections", statistics.connectionsRejected)
        info.line("total_error_replies", statistics.errorReplies)
        info.line("events_appended", statistics.eventsAppended)
        info.line("events_read", statistics.eventsRead)
        info.line("transactions", statistics.transactions)
        info.line("dedup_hits", statistics.duplicates)
        info.line("forwards", server.node.forwardedCount)
    }

    private func writeProcessor(_ info: inout InfoText) {
        let use = server.process.processorUse()
        info.section("CPU")
        info.line("used_cpu_sys", seconds(use.systemMicroseconds))
        info.line("used_cpu_user", seconds(use.userMicroseconds))
    }

    private func seconds(_ microseconds: UInt64) -> String {
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
    }

    private func writeCommands(_ info: inout InfoText) {
        info.section("Commandstats")
        for (description, count) in zip(CommandTable.descriptions, server.statistics.commands)
        where count.calls + count.rejected > 0 {
            let microseconds = count.nanoseconds / 1_000
            let perCall = count.calls == 0 ? 0 : Double(count.nanoseconds / count.calls / 10) / 100
            info.line(
                "cmdstat_\(description.name.lowercased())",
                fields: [
                    ("calls", count.calls), ("usec", microseconds), ("usec_per_call", perCall),
                    ("rejected_calls", count.rejected), ("failed_calls", count.failed),
                ])
        }
    }

    private func writeErrors(_ info: inout InfoText) {
        info.section("Errorstats")
        for (code, count) in zip(ErrorCode.allCases, server.statistics.errors) where count > 0 {
            info.line("errorstat_\(code.rawValue)", fields: [("count", count)])
        }
    }

    private func writeLatencies(_ info: inout InfoText) {
        info.section("Latencystats")
        for (description, histogram) in zip(CommandTable.descriptions, server.statistics.latencies)
        where histogram.count > 0 {
            let parts: [(String, Double)] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
            info.line(
                "latency_percentiles_usec_\(description.name.lowercased())",
                fields: parts.map { ($0.0, Double(histogram.percentile($0.1)) / 1_000) })
        }
    }
}
