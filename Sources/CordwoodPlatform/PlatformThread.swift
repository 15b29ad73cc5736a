internal import CLinux
internal import CordwoodIO
internal import Glibc

/// A thread of our own, with a name that debuggers and `top -H` show.
struct PlatformThread: Sendable {
    private let handle: pthread_t

    /// Fails when the system gives no further thread.
    init(name: String, _ body: @escaping @Sendable () -> Void) throws(IOError) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let failure = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                clinux_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard failure == 0 else {
            start.release()
            throw IOError(errorNumber: failure, operation: "start thread", subject: name)
        }
        self.handle = handle
    }

    /// Waits for the end of the thread; once only, and not from the thread itself.
    func join() { pthread_join(handle, nil) }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}
