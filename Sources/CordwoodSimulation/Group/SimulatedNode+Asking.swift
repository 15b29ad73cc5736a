import CordwoodBase
import CordwoodEvents
import CordwoodLog
import CordwoodMachine
import CordwoodNode
import CordwoodRaft
import CordwoodVirtual

/// Asking a node from outside, as a client or an operator does: the answer may never come.
extension SimulatedNode {
    /// Runs `body` on the machine and returns what it returned; `nil` when the machine's life ended before, or time ran
    /// out.
    func ask<Value>(
        _ what: String, withinNanoseconds limit: UInt64, _ body: @escaping (Node) async -> Value
    ) async -> Value? {
        guard let node, host.isUp else { return nil }
        let answer = Answer<Value>()
        let number = expect { answer.end(nil) }
        let clock = simulation.world.clock
        let timer = clock.schedule(atNanoseconds: clock.monotonicNanoseconds + limit) { answer.end(nil) }
        host.spawn(what) { _ in answer.end(await body(node)) }
        let value = await answer.value()
        clock.cancel(timer)
        expectNoLonger(number)
        return value
    }

    /// One answer that somebody waits for; what comes first counts.
    private final class Answer<Value> {
        private var ended: Value??
        private var waiter: UnsafeContinuation<Void, Never>?

        func end(_ value: Value?) {
            guard ended == nil else { return }
            ended = .some(value)
            waiter?.resume()
        }

        func value() async -> Value? {
            if ended == nil { await withUnsafeContinuation { waiter = $0 } }
            return ended ?? nil
        }
    }

    /// Serials that the machine of a partition holds, in their order, read back from its log; `nil` when that cannot be
    /// had now. An event that is not what was written is a violation.
    func contents(of partition: PartitionID) async -> [UInt64]? {
        let events = await ask("read all", withinNanoseconds: 5_000_000_000) { node in
            await (node.machine(of: partition) as? SimulatedMachine)?.contents()
        }
        guard case .some(.some(let events)) = events else { return nil }
        for event in events where !SimulatedEvent.isWhole(event) {
            simulation.judge.report(
                "events are read as they were written", "\(life): serial \(SimulatedEvent.serial(event.id)) is damaged")
        }
        return events.map { SimulatedEvent.serial($0.id) }
    }

    /// How much the machine of a partition holds.
    func eventCount(of partition: PartitionID) async -> UInt64? {
        await ask("count", withinNanoseconds: 5_000_000_000) { node in
            (await node.machine(of: partition) as? SimulatedMachine)?.store.eventCount ?? .max
        }
    }

    /// The canonical export of a partition's log from an index on; `nil` when it cannot be had now.
    func export(of partition: PartitionID, from first: PartitionLogIndex, through last: PartitionLogIndex) async
        -> [UInt8]?
    {
        let bytes = await ask("export", withinNanoseconds: 5_000_000_000) { node -> [UInt8]? in
            do throws(LogError) {
                let log = node.machines.logs.store(of: partition)
                try await log.persist()
                return try await log.export(from: first, through: last, maxBytes: .max)
            } catch { return nil }
        }
        return bytes ?? nil
    }
}
