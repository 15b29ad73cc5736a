import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodRaft

/// Entries that this node needs itself and cannot read of its log any more: other members have them in theirs.
extension Node {
    private static let refetchBytes = 1 << 20

    /// Entries from an index on, at least one: those of this node's log or, where it is damaged, those of others,
    /// verified by the entry chain.
    func intactEntries(_ range: Range<RaftIndex>) async throws(LogError) -> [Entry] {
        do throws(LogError) { return try await store.entries(in: range, maxBytes: 4 << 20) } catch {
            guard case .corrupt(let damage) = error, let damaged = damage.indexes else { throw error }
            foundLogDamage(damage)
            guard damaged.lowerBound <= range.lowerBound else {
                return try await store.entries(in: range.lowerBound..<damaged.lowerBound, maxBytes: 4 << 20)
            }
            return try await refetch(range, behind: try await intactPosition(before: damaged.lowerBound), error)
        }
    }

    /// The last entry before an index that can be read, from where on the chain can be followed.
    private func intactPosition(before index: RaftIndex) async throws(LogError) -> LogBoundary {
        var index = index
        while index.previous > store.state.boundary.index {
            do throws(LogError) {
                let entry = try await store.entry(at: index.previous)
                return LogBoundary(index: entry.index, term: entry.term, chain: entry.chain)
            } catch {
                guard case .corrupt(let damage) = error, let damaged = damage.indexes, damaged.lowerBound < index else {
                    throw error
                }
                index = damaged.lowerBound
            }
        }
        return store.state.boundary
    }

    private func refetch(
        _ range: Range<RaftIndex>, behind start: LogBoundary, _ error: LogError
    ) async throws(LogError) -> [Entry] {
        var position = start
        while position.index < range.upperBound.previous {
            let run = try await run(behind: position, through: range.upperBound.previous, error)
            guard let last = run.last else { break }
            if last.index >= range.lowerBound { return run.filter { $0.index >= range.lowerBound } }
            position = LogBoundary(index: last.index, term: last.term, chain: last.chain)
        }
        throw error
    }

    /// Asks one member after the other. When all have purged the entries only a start helps, which puts a snapshot in
    /// the log's place: this node takes nothing more until then.
    private func run(
        behind position: LogBoundary, through last: RaftIndex, _ error: LogError
    ) async throws(LogError) -> [Entry] {
        let request = RepairRequest.entries(after: position, through: last, maxBytes: Self.refetchBytes).encoded()
        let others = membership.members.map(\.replica).filter { $0 != replica }
        var isGone = !others.isEmpty
        for member in others where !isClosing {
            guard
                let answer = try? await peers?.call(
                    member, .repair, request, lane: .bulk, timeoutNanoseconds: Self.repairCallNanoseconds),
                let piece = try? PieceAnswer(decoding: answer)
            else {
                isGone = false
                continue
            }
            if case .data(let bytes) = piece, let run = try? LogRun.decode(bytes, after: position) { return run }
            if piece != .gone { isGone = false }
        }
        if isGone, !isClosing { storeFailed(error) }
        throw error
    }
}
