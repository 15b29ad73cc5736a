internal import CLinux
internal import CordwoodIO
internal import Glibc

/// What other threads hand to the loop: appended under a mutex, taken by the loop as a whole. Only a loop that sleeps
/// is woken, so a busy one costs nobody a system call.
final class Inbox: Sendable {
    struct Contents: Sendable {
        var jobs: [ReadyJob] = []
        var calls: [@Sendable () -> Void] = []
        var completions: [Completion] = []

        var isEmpty: Bool { jobs.isEmpty && calls.isEmpty && completions.isEmpty }
    }

    private struct State: Sendable {
        var contents = Contents()
        var sleeping = false
    }

    private let state = Monitor(State())

    /// An eventfd that becomes readable when the loop is to wake up.
    let wakeDescriptor: Int32

    init() throws(IOError) {
        let descriptor = clinux_event()
        guard descriptor >= 0 else { throw IOError(errorNumber: -descriptor, operation: "eventfd", subject: "loop") }
        wakeDescriptor = descriptor
    }

    deinit { Glibc.close(wakeDescriptor) }

    func post(_ job: ReadyJob) { change { $0.jobs.append(job) } }
    func post(_ call: @escaping @Sendable () -> Void) { change { $0.calls.append(call) } }
    func post(_ completion: Completion) { change { $0.completions.append(completion) } }

    /// Takes everything; for the loop, at the start of a turn.
    func take() -> Contents? {
        state.withLock { state in
            state.sleeping = false
            guard !state.contents.isEmpty else { return nil }
            return exchange(&state.contents, with: Contents())
        }
    }

    /// For the loop, before it waits: true when there is nothing to do, and whatever is posted from now on wakes it.
    func fallAsleep() -> Bool {
        state.withLock { state in
            state.sleeping = state.contents.isEmpty
            return state.sleeping
        }
    }

    private func change(_ body: (inout Contents) -> Void) {
        let wake = state.withLock { state in
            body(&state.contents)
            defer { state.sleeping = false }
            return state.sleeping
        }
        if wake { clinux_raise_event(wakeDescriptor) }
    }
}

/// A job and how it is to be run.
struct ReadyJob: Sendable {
    var job: UnownedJob
    /// True for a job of an actor that lives on the loop; false for one of a task that prefers it.
    var isActors: Bool
}

private func exchange<Value>(_ place: inout Value, with value: Value) -> Value {
    let old = place
    place = value
    return old
}
