import CordwoodBase
import CordwoodConformance
import CordwoodIO
import CordwoodLog
import CordwoodRaft
import CordwoodVirtual
import Testing

@Suite struct DebugTests {
    @Test func debug() throws {
        let world = VirtualWorld(seed: 3)
        func open(_ seams: Seams) async throws -> SegmentedLogStore {
            try await SegmentedLogStore.open(directory: "/s", identity: SegmentedLogStoreFactory.identity, options: SegmentedLogStoreFactory.smallSegments, seams: seams)
        }
        func e(_ i: UInt64) -> Entry { Entry(index: RaftIndex(i), term: 1, type: .application, timestampMicroseconds: 1) }
        try world.run { seams in
            let store = try await open(seams)
            let t = try store.append([e(1), e(2)])
            store.endBatch()
            try await store.waitUntilDurable(t)
            try await store.compact(through: 2, boundary: nil)
            print(store.state)
            for s in store.segments { print(s) }
            world.crash()
            let again = try await open(world.seams)
            print(again.recovery)
            print(again.state)
        }
    }
}
