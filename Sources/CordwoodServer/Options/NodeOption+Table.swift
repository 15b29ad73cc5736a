public import CordwoodOptions

extension NodeOption {
    /// Bytes that the framing of an entry takes at most beside the request that it carries.
    private static let framingBytes: UInt64 = 64 << 10

    /// The option table of `cordwood-node`.
    public static func table(version: String) -> OptionTable {
        OptionTable(
            program: "cordwood-node",
            summary: "a node of a replicated, partitioned log that any Redis client can talk to",
            version: version,
            options: [
                dir.declaration, nodeName.declaration, partitionCount.declaration, segmentSize.declaration,
                segmentPreallocate.declaration, commitDepth.declaration, commitDelay.declaration,
                commitIdleDelay.declaration, commitMaxBatch.declaration, commitMaxBytes.declaration,
                commitMaxUnflushed.declaration, partitionLogFlushBytes.declaration, partitionLogSyncAge.declaration,
                partitionLogSegmentSize.declaration, durabilitySync.declaration, ackGate.declaration,
                recoveryPolicy.declaration, cacheCapacity.declaration, floorMaxPinned.declaration,
                admissionMaxInflight.declaration,
                admissionMaxBytes.declaration, admissionMaxAge.declaration, admissionMaxGlobalLag.declaration,
                strictVersioning.declaration, clientAddress.declaration,
                advertisedClientAddress.declaration, routing.declaration, peerAddress.declaration,
                advertisedPeerAddress.declaration, defaultProtocol.declaration, clusterFounders.declaration,
                clusterJoin.declaration, clusterJoinAs.declaration, retentionBytes.declaration,
                retentionTime.declaration, catchUpRate.declaration, readsMode.declaration,
                maxClients.declaration, maxFrame.declaration, maxEvent.declaration, maxTransactionEvents.declaration,
                maxScan.declaration, maxScanBytes.declaration, outputBudget.declaration, clientMemory.declaration,
                idleTimeout.declaration, requestTimeout.declaration, replyTimeout.declaration, raftTick.declaration,
                raftElectionTicks.declaration, raftHeartbeatTicks.declaration, raftClockDrift.declaration,
                consensusTrace.declaration, ioBackend.declaration, ioPollLimit.declaration,
                maxOpenFiles.declaration, logLevel.declaration, logFormat.declaration,
            ],
            rules: [
                .init { options in
                    let frame = options[maxFrame]
                    let segment = options[segmentSize]
                    if frame + framingBytes <= segment / 2 { return nil }
                    return "limits.max-frame = '\(Quantity.sizeText(frame))' with its framing must fit half of "
                        + "segment.size = '\(Quantity.sizeText(segment))'"
                },
                .init { options in
                    guard let idle = options[commitIdleDelay], idle < options[commitDelay] else { return nil }
                    return "commit.idle-delay = '\(Quantity.durationText(idle))' must be at least commit.delay = "
                        + "'\(Quantity.durationText(options[commitDelay]))'"
                },
                .init { options in
                    if options[durabilitySync] { return nil }
                    let contradicted = ["network.peer-address", "cluster.founders", "cluster.join"]
                        .first { options.setting($0)?.value != nil }
                    if let name = contradicted, let value = options.setting(name)?.value {
                        return "durability.sync = 'no' contradicts \(name) = '\(value.text)': the others of a group "
                            + "count on what a member holds"
                    }
                    if options[ackGate] == .segmented { return nil }
                    return "durability.sync = 'no' contradicts durability.ack-gate = '\(options[ackGate].rawValue)', "
                        + "which waits for more syncs, not for fewer"
                },
                .init { options in
                    if options[raftHeartbeatTicks] < options[raftElectionTicks] { return nil }
                    return "raft.heartbeat-ticks = '\(options[raftHeartbeatTicks])' must be below "
                        + "raft.election-ticks = '\(options[raftElectionTicks])'"
                },
                .init { options in
                    if options[readsMode] != .lease || options[raftClockDrift] > 0 { return nil }
                    return "reads.mode = 'lease' needs raft.clock-drift = '0' to be more than 0"
                },
                .init { options in
                    if options[maxEvent] <= options[maxFrame] { return nil }
                    return "limits.max-event = '\(Quantity.sizeText(options[maxEvent]))' must be at most "
                        + "limits.max-frame = '\(Quantity.sizeText(options[maxFrame]))'"
                },
            ] + groupRules,
            environmentPrefix: "CORDWOOD_")
    }
}
