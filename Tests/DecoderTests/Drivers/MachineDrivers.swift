import CordwoodBase
import CordwoodEvents
import CordwoodNode
import CordwoodRaft

@testable import CordwoodMachine

// What machines, sessions and catch-up leave on disk or send to other replicas, and the event store's own forms.

extension DecoderDriver {
    static let machineDrivers = [machineSnapshot, eventSnapshot, eventCommand, sessions, manifest]

    // MARK: Snapshots

    private static let machineSnapshot = DecoderDriver(
        "machine-snapshot",
        samples: {
            var file = [UInt8](littleEndian: SnapshotStore.magic)
            for field in [7, 3, 9, 2, 11, 12, 4, 5] as [UInt64] { file += [UInt8](littleEndian: field) }
            return [(file + [1, 2, 3, 4, 5]).form(1), (file + [1, 2, 3, 4, 5]).form(0)]
        },
        forms: [
            { _ = SnapshotStore.decode([UInt8]($0)) },
            { bytes in
                let check = [UInt8](bytes).withUnsafeBytes { Checksum.xxh3Wide($0, seed: SnapshotStore.magic) }
                let file = [UInt8](bytes) + [UInt8](littleEndian: check.low) + [UInt8](littleEndian: check.high)
                guard let snapshot = SnapshotStore.decode(file) else { return }
                demand(snapshot.state.count == bytes.count - SnapshotStore.headerBytes, "\(snapshot.header)")
            },
        ])

    private static let eventSnapshot = DecoderDriver(
        "event-snapshot",
        samples: {
            let store = EventSamples.store()
            var samples = [store.snapshot().form(0)]
            for command in EventSamples.commands {
                _ = EventSamples.apply(command, to: store)
                samples.append(store.snapshot().form(0))
            }
            return samples
        },
        forms: [
            { bytes in
                let store = EventSamples.store()
                let before = store.snapshot()
                guard (try? store.restore([UInt8](bytes))) != nil else {
                    demand(store.snapshot() == before, "a snapshot was refused and yet changed the state")
                    return
                }
                let snapshot = store.snapshot()
                let other = EventSamples.store()
                demand((try? other.restore(snapshot)) != nil, "the snapshot of a restored state is refused")
                demand(other.snapshot() == snapshot, "a restored state has another snapshot")
                // The next command finds a state that it can work with.
                if store.lastAppliedIndex.rawValue < UInt64(Int64.max) {
                    for command in EventSamples.commands { _ = EventSamples.apply(command, to: store) }
                }
            }
        ])

    // MARK: Commands of the event store

    private static let eventCommand = DecoderDriver(
        "event-command",
        samples: { EventSamples.commands.map { $0.form(0) } + EventSamples.answers.map { $0.form(1) } },
        forms: [
            { bytes in
                let command = [UInt8](bytes)
                let summary = command.withUnsafeBytes { AppendCommand.summary(of: $0) }
                let store = EventSamples.store()
                for _ in 0..<2 {
                    let before = store.eventCount
                    let outcome = EventSamples.apply(command, to: store)
                    demand(
                        store.eventCount - before == UInt64(outcome.eventCount), "\(outcome) stored another number")
                    demand(outcome.refused || summary != nil, "stored a command that cannot be read")
                    demand(
                        (try? AppendAnswer(decoding: outcome.answer)) != nil,
                        "an answer that cannot be read: \(outcome)")
                }
            },
            { _ = try? AppendAnswer(decoding: [UInt8]($0)) },
        ])

    // MARK: Sessions

    private static let sessions = DecoderDriver(
        "sessions",
        samples: {
            var table = SessionTable(capacity: 4)
            for index in 1...3 as ClosedRange<UInt64> {
                _ = table.apply(
                    SessionRequest.open(timeoutMicroseconds: 1000).encoded(), at: RaftIndex(index),
                    atMicroseconds: Int64(index))
            }
            return [
                table.encoded().form(0), SessionTable(capacity: 1).encoded().form(0),
                SessionRequest.open(timeoutMicroseconds: 9).encoded().form(1),
                SessionRequest.close(session: 4).encoded().form(1),
            ]
        },
        forms: [
            { bytes in
                roundTrip(bytes, { try SessionTable(decoding: $0) }, { $0.encoded() })
                // What was read can be gone on with, whatever the time.
                guard var table = try? SessionTable(decoding: [UInt8](bytes)) else { return }
                let open = SessionRequest.open(timeoutMicroseconds: 5).encoded()
                for time in [Int64.min, 0, .max] {
                    for number in 0...3 as ClosedRange<UInt64> {
                        _ = table.isOpen(number, atMicroseconds: time)
                        _ = table.use(number, at: RaftIndex(number + 4), atMicroseconds: time)
                    }
                    _ = table.apply(open, at: RaftIndex(UInt64.max - 1), atMicroseconds: time)
                }
                table.forgetRefusals(below: 6)
                demand(table.count <= table.capacity, "\(table.count) sessions of \(table.capacity)")
            },
            { bytes in roundTrip(bytes, { try SessionRequest(decoding: $0) }, { $0.encoded() }) },
        ])

    // MARK: Catch-up

    private static let manifest = DecoderDriver(
        "manifest",
        samples: {
            let manifest = PeerSamples.manifest.encoded()
            let requests: [PieceRequest] = [
                .log(7, from: 1, through: 9, maxBytes: 1 << 20), .snapshot(7, 3, offset: 5, maxBytes: 100),
                .failed(LogPosition(index: 5, term: 2)),
            ]
            let answers: [PieceAnswer] = [.data([1, 2, 3]), .gone, .notYet, .failed("why"), .noted]
            return [manifest.form(0), [UInt8](manifest.dropLast(16)).form(1)] + requests.map { $0.encoded().form(2) }
                + answers.map { $0.encoded().form(3) }
        },
        forms: [
            { bytes in roundTrip(bytes, { try SnapshotManifest(decoding: $0) }, { $0.encoded() }) },
            { bytes in
                let sealed = PeerSamples.sealedManifest([UInt8](bytes))
                roundTrip(sealed[...], { try SnapshotManifest(decoding: $0) }, { $0.encoded() })
            },
            { bytes in roundTrip(bytes, { try PieceRequest(decoding: $0) }, { $0.encoded() }) },
            { bytes in roundTrip(bytes, { try PieceAnswer(decoding: $0) }, { $0.encoded() }) },
        ])
}
