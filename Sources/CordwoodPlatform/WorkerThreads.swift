internal import CordwoodBase
internal import CordwoodIO

/// A few threads for work that blocks, started as work arrives and kept until the end.
final class WorkerThreads: Sendable {
    private struct State {
        var work = Queue<@Sendable () -> Void>()
        var threads: [PlatformThread] = []
        var idle = 0
        var stopping = false
    }

    private let name: String
    private let limit: Int
    private let state = Monitor(State())

    init(name: String, limit: Int) {
        invariant(limit > 0, "\(limit) threads for \(name)")
        self.name = name
        self.limit = limit
    }

    /// Runs `body` on one of the threads, in order of submission as threads become free.
    func submit(_ body: @escaping @Sendable () -> Void) {
        state.change { state in
            state.work.append(body)
            guard state.idle < state.work.count, state.threads.count < limit else { return }
            do throws(IOError) {
                state.threads.append(try PlatformThread(name: "\(name)-\(state.threads.count)") { self.serve() })
            } catch {
                // Fewer threads than wished for do the same work; none at all would leave it undone for ever.
                if state.threads.isEmpty { brokenInvariant("no thread for blocking work: \(error)") }
            }
        }
    }

    /// Finishes what was submitted and ends the threads.
    func stop() {
        let threads = state.change(wakingAll: true) { state in
            state.stopping = true
            return state.threads
        }
        for thread in threads { thread.join() }
    }

    private func serve() {
        while let body = next() { body() }
    }

    private func next() -> (@Sendable () -> Void)? {
        state.change { $0.idle += 1 }
        return state.wait { state -> (@Sendable () -> Void)?? in
            if let body = state.work.popFirst() {
                state.idle -= 1
                return .some(body)
            }
            return state.stopping ? .some(nil) : nil
        }
    }
}
