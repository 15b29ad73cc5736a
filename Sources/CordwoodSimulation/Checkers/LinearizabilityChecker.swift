import CordwoodBase

/// Histories of partitions and streams are linearizable: there is one order of all operations in which each has the
/// effect that it reported and stands between its call and its answer.
///
/// In general that takes a search. Here the object is a log, and an answer says where in the log the operation stands:
/// an append before which there were n events is at place 2n + 1, whoever saw n events is at 2n. Any order must be that
/// of the places, and among those who saw the same any order of time will do. So a history is linearizable exactly when
/// no operation stands before one that had ended when it was called, and that is one comparison an operation. An append
/// whose outcome stayed open counts where it is found in the end, if it is; it never ended, and nothing has to stand
/// behind it.
final class LinearizabilityChecker {
    enum Subject: Hashable, CustomStringConvertible {
        case partition(PartitionID)
        case stream(SimulatedStream)

        var description: String {
            switch self {
            case .partition(let partition): "partition \(partition)"
            case .stream(let stream): "stream \(stream)"
            }
        }
    }

    /// An operation that was called: the least place that it may have.
    struct Call {
        var subject: Subject
        var least: UInt64
    }

    private let judge: Judge
    /// The highest place of an operation that has ended.
    private var ended: [Subject: UInt64] = [:]
    /// Appends of several events: whoever sees a part of them saw what never was.
    private var inside: [Subject: Set<UInt64>] = [:]
    private(set) var operationCount = 0

    init(_ judge: Judge) { self.judge = judge }

    func begin(_ subject: Subject) -> Call { Call(subject: subject, least: ended[subject] ?? 0) }

    /// A command stored several events, `before` being there: nobody may see a part of them.
    func indivisible(_ subject: Subject, _ before: UInt64, _ count: Int) {
        for part in 1..<max(1, UInt64(count)) { inside[subject, default: []].insert(before + part) }
    }

    /// An append ended: there were `before` events when it was executed.
    func append(_ call: Call, before: UInt64, _ what: @autoclosure () -> String) {
        place(call, 2 * before + 1, hasEnded: true, what())
    }

    /// An operation ended that has seen so many events, and changed nothing.
    func observe(_ call: Call, _ count: UInt64, _ what: @autoclosure () -> String) {
        judge.require(
            inside[call.subject]?.contains(count) != true, "a command takes effect as a whole",
            "\(what()) saw \(count) events of \(call.subject), a part of a command")
        place(call, 2 * count, hasEnded: true, what())
    }

    /// An append that never was answered is there after all.
    func found(_ call: Call, before: UInt64, _ what: @autoclosure () -> String) {
        place(call, 2 * before + 1, hasEnded: false, what())
    }

    private func place(_ call: Call, _ place: UInt64, hasEnded: Bool, _ what: @autoclosure () -> String) {
        operationCount += 1
        judge.require(
            place >= call.least, "histories are linearizable",
            "\(what()) is at place \(place) of \(call.subject); one at \(call.least) had ended when it was called"
        )
        if hasEnded { ended[call.subject] = max(ended[call.subject] ?? 0, place) }
    }
}
