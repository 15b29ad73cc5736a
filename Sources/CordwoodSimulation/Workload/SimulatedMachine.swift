import CordwoodBase
import CordwoodEvents
import CordwoodMachine

/// The built-in event store as the machine of a simulation: it tells the history what it applies and what came of it,
/// and does not bear to be given entries out of order.
final class SimulatedMachine: PartitionStateMachine {
    let store: EventStore
    private let partition: PartitionID
    private let onApply: (PartitionCommand, ApplyOutcome) -> Void

    init(_ context: MachineContext, onApply: @escaping (PartitionCommand, ApplyOutcome) -> Void) {
        store = EventStore(context: context)
        partition = context.partition
        self.onApply = onApply
    }

    func apply(_ command: PartitionCommand) throws -> ApplyOutcome {
        invariant(
            command.partitionIndex == store.lastAppliedIndex.next,
            "partition \(partition) is given entry \(command.partitionIndex) after \(store.lastAppliedIndex)")
        let outcome = store.apply(command)
        onApply(command, outcome)
        return outcome
    }

    func snapshot() throws -> [UInt8] { store.snapshot() }

    func restore(_ snapshot: [UInt8]) throws { try store.restore(snapshot) }

    // MARK: What clients ask

    /// What a read of a stream shows.
    struct View {
        /// Events of the partition, and of the stream.
        var partitionCount: UInt64
        var streamCount: UInt64
        /// Version of the first event that was read back, and their serials.
        var first: UInt64
        var serials: [UInt64]
        /// An event that is not what was written.
        var damaged: UInt64?
    }

    /// The visible part of a stream, with its last events read back from the log; `nil` when the log cannot be read.
    func view(of stream: SimulatedStream, events wanted: UInt64) async -> View? {
        let partitionCount = store.watermark
        let number = stream.id.withUnsafeBytes { store.stream($0, under: stream.key) }
        let last = number.flatMap { store.lastVisibleVersion(of: $0) }
        guard let number, let last else {
            return View(partitionCount: partitionCount, streamCount: 0, first: 0, serials: [])
        }
        let count = last + 1
        let first = count > wanted ? count - wanted : 0
        var view = View(partitionCount: partitionCount, streamCount: count, first: first, serials: [])
        guard wanted > 0 else { return view }
        do {
            let page = try await store.events(
                of: number, from: first, through: last, limit: ReadLimit(count: Int(wanted), bytes: .max))
            view.serials = page.events.map { SimulatedEvent.serial($0.id) }
            view.damaged = page.events.first { !SimulatedEvent.isWhole($0) }.map { SimulatedEvent.serial($0.id) }
            return view
        } catch { return nil }
    }

    /// Every event of the partition, read back from the log; `nil` when it cannot be read.
    func contents() async -> [StoredEvent]? {
        var events: [StoredEvent] = []
        do {
            while true {
                let page = try await store.events(
                    from: UInt64(events.count), limit: ReadLimit(count: 1000, bytes: 1 << 20))
                events += page.events
                if !page.hasMore { return events }
            }
        } catch { return nil }
    }
}
