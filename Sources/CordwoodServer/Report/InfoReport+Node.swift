import CordwoodBase
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft

/// The sections about the log, the group and the partitions.
extension InfoReport {
    func writePersistence(_ info: inout InfoText) {
        let status = server.node.status
        info.section("Persistence")
        let isLoading = !server.node.isWarm || server.node.readiness != .ready
        // One that was removed waits for nothing any more.
        info.line("loading", isLoading && !server.node.isRemoved)
        info.line("loading_percent", server.node.readinessPercent)
        info.line("durability", server.node.configuration.log.syncsBatches ? "strict" : "relaxed")
        info.line("aof_enabled", 1)
        info.line("rdb_bgsave_in_progress", 0)
        info.line("aof_rewrite_in_progress", 0)
        info.line("store_state", storeState(status))
        info.line("ack_gate", "\(server.node.configuration.log.ackGate)")
        info.line("recovery_policy", server.node.configuration.recoveryPolicy.rawValue)
        info.line("recovery", server.node.recovery.outcome.rawValue)
        info.line("torn_tail_bytes", server.node.recovery.discardedBytes)
        info.line("quarantined_ranges", server.node.damagedPartitions.count)
        let repairs = server.node.repairStatistics
        info.line("halted_partitions", repairs.haltedPartitions)
        info.line("repaired_partitions", repairs.repairedPartitions)
        info.line("repair_failed_attempts", repairs.failedAttempts)
        info.line("repair_fetched_bytes", repairs.fetchedBytes)
        info.line("repair_salvaged_bytes", repairs.salvagedBytes)
        info.line("repair_damaged_pieces", repairs.damagedPieces)
        info.line("log_repaired", repairs.isLogRepaired ? 1 : 0)
        info.line("log_repair_fetched_entries", repairs.fetchedEntries)
        info.line("log_repair_salvaged_entries", repairs.salvagedEntries)
        info.line("partition_log_syncs", server.node.partitionLogStatistics.syncs)
        info.line("partition_log_buffered_bytes", server.node.partitionLogStatistics.bufferedBytes)
    }

    private func storeState(_ status: NodeStatus) -> String {
        switch status.log.health {
        case .ok: "ok"
        case .readOnly: "readonly"
        case .poisoned: "poisoned"
        case .closed: "closed"
        }
    }

    func writeLog(_ info: inout InfoText) {
        let log = server.node.status.log
        let floor = server.node.floorReport()
        let segments = server.node.segments
        info.section("Log")
        info.line("log_segments", segments.count)
        info.line("log_bytes", segments.reduce(0) { $0 + $1.endOffset })
        info.line("log_requested_bytes", server.node.durability.requestedBytes)
        info.line("log_durable_bytes", server.node.durability.durableBytes)
        info.line("log_first_index", log.startIndex)
        info.line("log_last_index", log.nextIndex.previous)
        info.line("log_durable_index", log.durableIndex)
        info.line("log_floor", floor.floor)
        info.line("log_floor_held_by", floor.heldBy.map(holder).joined(separator: " "))
        info.line("log_epoch", log.epoch)
    }

    private func holder(_ holder: FloorReport.Holder) -> String {
        "\(holder.partition.map { "partition \($0)" } ?? "node"):\(holder.reason.rawValue):\(holder.index)"
    }

    func writePartitions(_ info: inout InfoText, limit: Int) {
        let partitions = server.partitionStatuses
        info.section("Partitions")
        info.line("partitions", server.partitionCount)
        info.line("partitions_frozen", partitions.filter { server.node.isFrozen($0.partition) }.count)
        info.line("partitions_degraded", server.node.damagedPartitions.count)
        for status in partitions.prefix(limit) {
            info.line(
                "partition\(status.partition)",
                fields: [
                    ("next", status.nextIndex), ("logged", status.progress.logged),
                    ("confirmed", status.progress.confirmed), ("applied", status.progress.applied),
                    ("persisted", status.progress.persisted), ("watermark", status.watermark),
                    ("floor", status.oldestNeeded.map { "\($0)" } ?? ""),
                    ("master", status.master.map { "\($0)" } ?? ""), ("inflight", status.inflightEntries),
                    ("inflight_bytes", status.inflightBytes),
                    ("backlog_age_ms", status.backlogAgeNanoseconds / 1_000_000),
                    ("state", server.stateName(of: status)),
                ])
        }
    }

    func writeWatermark(_ info: inout InfoText) {
        let partitions = server.partitionStatuses
        info.section("Watermark")
        let gaps = partitions.map {
            $0.progress.logged.rawValue - min($0.progress.logged, $0.progress.confirmed).rawValue
        }
        info.line("confirmation_gap", gaps.reduce(0, +))
        info.line(
            "oldest_unconfirmed_age_ms", (partitions.map(\.backlogAgeNanoseconds).max() ?? 0) / 1_000_000)
    }

    func writeKeyspace(_ info: inout InfoText) {
        info.section("Keyspace")
        let events = server.visibleEventCount
        if events > 0 { info.line("db0", fields: [("keys", events), ("expires", 0), ("avg_ttl", 0)]) }
    }
}
