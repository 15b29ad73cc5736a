import CordwoodBase
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Foundation
import Testing

@Suite("Golden segments of format version 1")
struct GoldenSegmentTests {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/segments/v1")

    private static func stored(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
    }

    @Test("today's code writes the stored bytes")
    func writes() throws {
        for (name, bytes) in GoldenSegments.make() {
            if ProcessInfo.processInfo.environment["CORDWOOD_WRITE_FIXTURES"] != nil {
                try FileManager.default.createDirectory(at: Self.directory, withIntermediateDirectories: true)
                try Data(bytes).write(to: Self.directory.appendingPathComponent(name))
            }
            let stored = try Self.stored(name)
            let difference = zip(stored, bytes).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            #expect(stored.count == bytes.count)
            #expect(difference == nil, "\(name) differs at \(difference ?? 0)")
        }
    }

    @Test("a store opens them and reads what they hold")
    func reads() throws {
        var image = try LogWorld.run { _, _ in }
        for path in image.paths where path.hasSuffix(".seg") { image.remove(path) }
        for (name, _) in GoldenSegments.make() { image.put("/log/" + name, try Self.stored(name)) }
        let world = VirtualWorld(seed: 1, disk: image)
        try world.run { (seams) async throws in
            let store = try await SegmentedLogStore.open(
                directory: "/log",
                identity: StoreIdentity(
                    cluster: GoldenSegments.identity.cluster, node: GoldenSegments.identity.node,
                    replica: GoldenSegments.identity.replica), options: LogWorld.options, seams: seams)
            #expect(store.recovery.outcome == .clean)
            #expect(store.state.boundary == GoldenSegments.installed)
            #expect(store.state.vote == GoldenSegments.vote)
            #expect(store.state.epoch == 5)
            #expect(store.checkpoint == GoldenSegments.checkpoint)
            #expect(store.installation?.manifest == GoldenSegments.manifest)
            #expect(store.gates.map(\.gate) == [.segmented, .partition])
            #expect(try await store.all().asGiven == [GoldenSegments.afterInstallation])
            #expect(store.nextPartitionIndex(1) == 6)
            try await store.close()
        }
    }
}
