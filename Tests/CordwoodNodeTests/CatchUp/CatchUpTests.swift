import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("Catching up by partition")
struct CatchUpTests {
    private let joining = smallNode { $0.directory = "joiner" }

    @Test func bringsAnEmptyReplicaToTheStateOfTheSource() throws {
        let world = VirtualWorld(seed: 1)
        try world.run { [joining] seams in
            let source = try await CatchUpSource.open(seams)
            let replica = try await CatchUpStack.open(joining, seams: seams, call: source.call)
            try await replica.catchUp.fetch(source.manifest, from: [1])
            #expect(replica.store.nextIndex == 1)
            try await replica.catchUp.install(source.manifest)
            #expect(replica.store.state.boundary == source.manifest.boundary)
            #expect(replica.machines.logs.lines == source.manifest.lines)
            for (partition, events) in await source.talliedInManifest().enumerated() {
                #expect(await replica.tallied(PartitionID(UInt64(partition))) == events)
                #expect(
                    replica.machines.dispatcher.watermark(of: PartitionID(UInt64(partition))) == UInt64(events.count))
            }
            try await replica.close()
        }
    }
}
