import CordwoodBase
import CordwoodConformance
import CordwoodRaft

/// A defect that log stores have been found with.
enum Sabotage: String, CaseIterable, Sendable {
    case durableIsNotLowered
    case truncationIsForgotten
    case purgeIsForgotten
    case boundaryTermIsLost
    case voteIsForgotten
    case gapsAreTaken
    case doubleIndexIsTaken
    case purgedIsNotFound
    case rangeStopsAtTheEnd
    case limitMayGiveNothing
    case limitIsIgnored
    case staleTicketsAreDurable
    case progressIsToldTooEarly
    case closedStillAppends
    case damagedExportIsTaken
    case purgeBeyondTheEndIsRefused
    case chainIgnoresThePast
    case flushDoesNothing
}

/// A sound store with one defect: the kit must find every one of them.
final class SabotagedStore: RaftLogStore {
    private let sound: any RaftLogStore
    private let sabotage: Sabotage
    private var highestDurable: RaftIndex = 0

    init(_ sound: any RaftLogStore, _ sabotage: Sabotage) {
        self.sound = sound
        self.sabotage = sabotage
        highestDurable = sound.durableIndex
    }

    var state: LogState {
        var state = sound.state
        state.durableIndex = durableIndex
        if sabotage == .voteIsForgotten { state.vote = .none }
        return state
    }

    var nextIndex: RaftIndex { sound.nextIndex }
    var startIndex: RaftIndex { sabotage == .purgeIsForgotten ? 1 : sound.startIndex }

    var lastEntry: LogPosition? {
        guard let last = sound.lastEntry else { return nil }
        let isEmpty = last.index < sound.startIndex
        return sabotage == .boundaryTermIsLost && isEmpty ? LogPosition(index: last.index, term: 0) : last
    }

    var durableIndex: RaftIndex {
        guard sabotage == .durableIsNotLowered else { return sound.durableIndex }
        highestDurable = max(highestDurable, sound.durableIndex)
        return highestDurable
    }

    var onProgress: ((LogProgress) -> Void)? {
        get { sound.onProgress }
        set {
            guard sabotage == .progressIsToldTooEarly, let newValue else {
                sound.onProgress = newValue
                return
            }
            sound.onProgress = { progress in
                var early = progress
                early.durableIndex += 1
                newValue(early)
            }
        }
    }

    func term(at index: RaftIndex) throws(LogError) -> Term? { try sound.term(at: index) }

    func append(_ entries: [Entry]) throws(LogError) -> LogTicket {
        do { return try sound.append(entries) } catch {
            let isDouble = entries.first.map { $0.index < nextIndex } ?? false
            let isTaken =
                switch error {
                case .closed: sabotage == .closedStillAppends
                case .invalidArgument: sabotage == (isDouble ? .doubleIndexIsTaken : .gapsAreTaken)
                default: false
                }
            guard isTaken else { throw error }
            return LogTicket(epoch: state.epoch, index: nextIndex, sequence: 0)
        }
    }

    func replaceSuffix(from index: RaftIndex, with entries: [Entry]) throws(LogError) -> LogTicket {
        try sound.replaceSuffix(from: index, with: entries)
    }

    func truncate(after index: RaftIndex) throws(LogError) -> LogTicket {
        try sound.truncate(after: sabotage == .truncationIsForgotten ? max(index, nextIndex) : index)
    }

    func recordVote(_ vote: Vote) throws(LogError) -> LogTicket { try sound.recordVote(vote) }
    func endBatch() { sound.endBatch() }
    func updateCommit(_ index: RaftIndex) { sound.updateCommit(index) }

    func waitUntilDurable(_ ticket: LogTicket) async throws(LogError) {
        do { try await sound.waitUntilDurable(ticket) } catch {
            if sabotage == .staleTicketsAreDurable, error == .stale { return }
            throw error
        }
    }

    func entries(in range: Range<RaftIndex>, maxBytes: Int?) async throws(LogError) -> [Entry] {
        var range = range
        if sabotage == .rangeStopsAtTheEnd { range = range.clamped(to: 0..<max(nextIndex, range.lowerBound)) }
        if sabotage == .limitMayGiveNothing, maxBytes == 0 { return [] }
        var found = try await sound.entries(in: range, maxBytes: sabotage == .limitIsIgnored ? nil : maxBytes)
        if sabotage == .chainIgnoresThePast {
            for position in found.indices {
                found[position].chain = ChainValue(high: 0, low: found[position].index.rawValue)
            }
        }
        return found
    }

    func entry(at index: RaftIndex) async throws(LogError) -> Entry {
        do { return try await sound.entry(at: index) } catch {
            if sabotage == .purgedIsNotFound, error == .purged(index) { throw .notFound(index) }
            throw error
        }
    }

    func export(_ range: Range<RaftIndex>) async throws(LogError) -> [UInt8] { try await sound.export(range) }

    func install(_ exported: [UInt8], at index: RaftIndex) async throws(LogError) {
        do { try await sound.install(exported, at: index) } catch {
            if sabotage == .damagedExportIsTaken, case .corrupt = error { return }
            throw error
        }
    }

    func compact(through index: RaftIndex, boundary: LogBoundary?) async throws(LogError) {
        if sabotage == .purgeBeyondTheEndIsRefused, index >= nextIndex { throw .invalidArgument("beyond the end") }
        try await sound.compact(through: index, boundary: boundary)
    }

    func flush() async throws(LogError) {
        if sabotage == .flushDoesNothing { return }
        try await sound.flush()
    }

    func close() async throws(LogError) { try await sound.close() }
}

/// Makes sound stores and gives each the same defect.
final class SabotagedFactory: LogStoreFactory {
    private let sound: any LogStoreFactory
    private let sabotage: Sabotage

    init(_ sound: any LogStoreFactory, _ sabotage: Sabotage) {
        self.sound = sound
        self.sabotage = sabotage
    }

    func open() async throws -> any RaftLogStore { SabotagedStore(try await sound.open(), sabotage) }
    func destroy() async throws { try await sound.destroy() }
}
