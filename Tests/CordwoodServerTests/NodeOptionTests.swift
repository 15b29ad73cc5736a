import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodNode
import CordwoodOptions
import CordwoodRaft
import Foundation
import Testing

@testable import CordwoodServer

@Suite("Options of the node") struct NodeOptionTests {
    private static let table = NodeOption.table(version: "1.2.3")

    private static func page(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "docs/\(name)"), encoding: .utf8)
    }

    private static func refusal(_ flags: [String]) -> String {
        do {
            _ = try nodeOptions(flags)
            return "accepted"
        } catch { return "\(error)" }
    }

    @Test func theSampleConfigurationEqualsTheDefaults() throws {
        let invocation = try NodeOptionTests.table.invocation(
            arguments: ["--data", "d", "--config", "sample"],
            readFile: { _ in NodeOptionTests.table.sampleConfiguration() })
        guard case .run(_, _, let values) = invocation else { throw TestFailure("not a run") }
        for setting in values.settings where setting.declaration.name != "dir" {
            #expect(setting.value == setting.declaration.defaultValue, "\(setting.declaration.name)")
        }
    }

    @Test func thePageOfOptionsHoldsTheTable() throws {
        let page = try NodeOptionTests.page("options.md")
        #expect(page.hasSuffix(NodeOptionTests.table.referenceTable()), "run `cordwood-node --generate markdown`")
    }

    @Test func thePageOfTheProtocolNamesEveryCommandAndCode() throws {
        let page = try NodeOptionTests.page("protocol.md")
        for description in CommandTable.descriptions { #expect(page.contains(description.name), "\(description.name)") }
        for code in ErrorCode.allCases { #expect(page.contains(code.rawValue), "\(code.rawValue)") }
    }

    @Test func thePageOfOperationsShowsEveryChangeOfTheGroup() throws {
        let page = try NodeOptionTests.page("operations.md")
        for verb in ["STATUS", "ADD", "REMOVE", "PROMOTE", "DEMOTE", "REPLACE", "TRANSFER", "STEPDOWN", "LEAVE"] {
            #expect(CommandTable().description(of: .members).syntax.contains(verb))
            #expect(page.contains("CORDWOOD.CLUSTER \(verb)"), "\(verb)")
        }
    }

    @Test func theShortFlagsAreThoseThatScriptsUse() throws {
        let options = try nodeOptions(["--io", "posix"])
        #expect(options[NodeOption.dir] == "node")
        #expect(options[NodeOption.clientAddress] == Endpoint(host: "127.0.0.1", port: 0))
        #expect(options[NodeOption.ioBackend] == .posix)
    }

    @Test func optionsThatContradictEachOtherAreRefused() {
        #expect(
            NodeOptionTests.refusal(["--limits-max-frame", "8MiB", "--segment-size", "16MiB"])
                == "limits.max-frame = '8MiB' with its framing must fit half of segment.size = '16MiB'")
        #expect(
            NodeOptionTests.refusal(["--raft-heartbeat-ticks", "10"])
                == "raft.heartbeat-ticks = '10' must be below raft.election-ticks = '10'")
        #expect(
            NodeOptionTests.refusal(["--limits-max-event", "5MiB"])
                == "limits.max-event = '5MiB' must be at most limits.max-frame = '4MiB'")
        #expect(NodeOptionTests.refusal(["--partition-count", "65537"]).hasSuffix("must be 1 to 65536"))
    }

    @Test func theIdleDelayIsAtLeastTheDelay() throws {
        #expect(
            NodeOptionTests.refusal(["--commit-delay", "2ms", "--commit-idle-delay", "1ms"])
                == "commit.idle-delay = '1ms' must be at least commit.delay = '2ms'")
        #expect(NodeOptionTests.refusal(["--commit-delay", "1ms", "--commit-idle-delay", "2ms"]) == "accepted")
        #expect(NodeOptionTests.refusal(["--commit-delay", "1s"]) == "accepted")
        #expect(NodeOptionTests.refusal(["--commit-idle-delay", "1001ms"]).hasSuffix("must be 0 to 1s"))
        #expect(NodeConfiguration(options: try nodeOptions([])).commitIdleDelayNanoseconds == nil)
        let stated = NodeConfiguration(options: try nodeOptions(["--commit-idle-delay", "2ms"]))
        #expect(stated.commitIdleDelayNanoseconds == 2_000_000)
    }

    @Test func onlyANodeThatIsAloneMayDoWithoutSyncs() throws {
        let relaxed = ["--durability-sync", "no"]
        #expect(NodeConfiguration(options: try nodeOptions([])).log.syncsBatches)
        #expect(!NodeConfiguration(options: try nodeOptions(relaxed)).log.syncsBatches)
        let reason = ": the others of a group count on what a member holds"
        #expect(
            NodeOptionTests.refusal(relaxed + ["--peer-listen", "127.0.0.1:7001"])
                == "durability.sync = 'no' contradicts network.peer-address = '127.0.0.1:7001'" + reason)
        #expect(
            NodeOptionTests.refusal(
                relaxed + ["--node-name", "a", "--peer-listen", "h1:7001", "--cluster-founders", "a=h1:7001"]
            ).hasPrefix("durability.sync = 'no' contradicts"))
        #expect(
            NodeOptionTests.refusal(relaxed + ["--durability-ack-gate", "partition"])
                == "durability.sync = 'no' contradicts durability.ack-gate = 'partition', "
                + "which waits for more syncs, not for fewer")
        #expect(NodeOptionTests.refusal(["--durability-sync=maybe"]).contains("durability.sync = 'maybe'"))
    }

    @Test func optionsOfTheGroupThatContradictEachOtherAreRefused() {
        let founders = "a=h1:7001,b=h2:7001"
        let founding = ["--node-name", "a", "--peer-listen", "0.0.0.0:7001", "--cluster-founders"]
        #expect(NodeOptionTests.refusal(founding + [founders]) == "accepted")
        #expect(
            NodeOptionTests.refusal(["--node-name", "a", "--cluster-founders", founders])
                == "cluster.founders = '\(founders)' needs network.peer-address: members connect to each other")
        #expect(
            NodeOptionTests.refusal(founding + [founders, "--cluster-join", "h3:7001"])
                == "cluster.join = 'h3:7001' contradicts cluster.founders = '\(founders)': "
                + "a node founds a group or joins one")
        #expect(
            NodeOptionTests.refusal(founding + ["b=h2:7001,c=h3:7001"])
                == "cluster.founders = 'b=h2:7001,c=h3:7001' does not name node.name = 'a'")
        #expect(
            NodeOptionTests.refusal(founding + ["a=h1:7001,a=h2:7001"])
                == "cluster.founders = 'a=h1:7001,a=h2:7001' names 'a' twice")
        #expect(
            NodeOptionTests.refusal(founding + ["a=h1:7001,b=h1:7001"])
                == "cluster.founders = 'a=h1:7001,b=h1:7001' names h1:7001 twice")
        #expect(
            NodeOptionTests.refusal(founding + ["a=h1:0,b=h1:7001"])
                == "cluster.founders = 'a=h1:0,b=h1:7001': h1:0 is nothing that others can connect to")
        #expect(
            NodeOptionTests.refusal(founding + [founders, "--network-advertised-peer-address", "h9:7001"])
                == "network.advertised-peer-address = 'h9:7001' contradicts cluster.founders = '\(founders)'")
        #expect(NodeOptionTests.refusal(founding + ["h1:7001"]).hasSuffix("must be name=host:port,..."))
        #expect(
            NodeOptionTests.refusal(["--peer-listen", "0.0.0.0:7001", "--cluster-join", "h1:7001"])
                == "network.peer-address = '0.0.0.0:7001' is nothing that others can connect to: "
                + "network.advertised-peer-address must say what they are told")
        #expect(
            NodeOptionTests.refusal(["--limits-reply-timeout", "500ms"])
                == "limits.reply-timeout = '500ms' must be at least an election timeout, "
                + "raft.tick times raft.election-ticks = '1s'")
    }

    @Test func theGroupIsWhatTheOptionsSay() throws {
        let alone = NodeConfiguration(options: try nodeOptions([]))
        #expect(alone.group == .alone && alone.peerAddress == nil)
        let founder = NodeConfiguration(
            options: try nodeOptions([
                "--node-name", "a", "--peer-listen", "0.0.0.0:7001", "--cluster-founders", "a=h1:7001,b=[::1]:7002",
                "--limits-reply-timeout", "3s", "--raft-tick", "50ms",
            ]))
        #expect(
            founder.group
                == .founding([
                    .init(name: "a", address: SocketAddress(host: "h1", port: 7001)),
                    .init(name: "b", address: SocketAddress(host: "::1", port: 7002)),
                ]))
        #expect(founder.peerAddress == SocketAddress(host: "0.0.0.0", port: 7001))
        #expect(founder.advertisedPeerAddress == "h1:7001" && founder.proposalTicks == 60)
        let joiner = NodeConfiguration(
            options: try nodeOptions([
                "--peer-listen", "127.0.0.1:0", "--cluster-join", "h1:7001,h2:7001", "--cluster-join-as", "learner",
                "--replication-retention-bytes", "1GiB", "--replication-retention-time", "1h",
                "--replication-catch-up-rate", "1MiB",
            ]))
        #expect(
            joiner.group
                == .joining([SocketAddress(host: "h1", port: 7001), SocketAddress(host: "h2", port: 7001)]))
        #expect(!joiner.becomesVoter && joiner.retentionBytes == 1 << 30)
        #expect(joiner.retentionNanoseconds == 3_600_000_000_000)
        #expect(joiner.catchUp.maxPinnedBytes == 1 << 30 && joiner.catchUp.bytesPerSecond == 1 << 20)
    }

    @Test func aPartitionCountThatNobodyStatedIsLeftToTheDirectory() throws {
        #expect(NodeConfiguration(options: try nodeOptions([])).partitionCount == nil)
        #expect(NodeConfiguration(options: try nodeOptions(["--partition-count", "32"])).partitionCount == 32)
    }

    @Test func everyOptionReachesTheNode() throws {
        let configuration = NodeConfiguration(
            options: try nodeOptions([
                "--node-name", "n", "--segment-size", "32MiB", "--segment-preallocate", "2", "--commit-depth", "4",
                "--commit-max-bytes", "64KiB", "--commit-max-unflushed", "8MiB", "--partition-log-sync-age", "1s",
                "--partition-log-flush-bytes", "6MiB", "--partition-log-segment-size", "2MiB", "--cache-capacity",
                "3MiB", "--floor-max-pinned-bytes", "5MiB",
                "--admission-max-inflight", "7", "--admission-max-bytes", "9KiB", "--admission-max-age", "3s",
                "--admission-max-global-lag", "11", "--raft-tick", "50ms", "--raft-election-ticks", "20",
                "--raft-heartbeat-ticks", "2", "--io-max-open-files", "99", "--limits-max-frame", "2MiB",
            ]))
        #expect(configuration.name == "n" && configuration.directory == "node")
        #expect(configuration.log.segmentBytes == 32 << 20 && configuration.log.spareSegments == 2)
        #expect(configuration.log.depth == 4 && configuration.log.batchBytes == 64 << 10)
        #expect(configuration.raft.maxUncommittedBytes == 8 << 20)
        #expect(configuration.partitionSyncAgeNanoseconds == 1_000_000_000)
        #expect(configuration.partitionBufferBytes == 6 << 20)
        #expect(configuration.partitionSegmentBytes == 2 << 20 && configuration.cacheBytes == 3 << 20)
        #expect(configuration.maxPinnedBytes == 5 << 20 && configuration.maxOpenFiles == 99)
        #expect(configuration.queue.maxInflightEntries == 7 && configuration.queue.maxInflightBytes == 9 << 10)
        #expect(configuration.queue.maxAgeNanoseconds == 3_000_000_000 && configuration.queue.maxGlobalLag == 11)
        #expect(configuration.tickMilliseconds == 50 && configuration.raft.electionTicks == 20)
        #expect(configuration.raft.heartbeatTicks == 2 && configuration.maxEntryBytes == 2 << 20)
    }
}
