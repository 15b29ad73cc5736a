import CordwoodIO
import Glibc
import Testing

@testable import CordwoodPlatform

@Suite("The platform")
struct PlatformTests {
    @Test("It says which backend it uses", arguments: backends)
    func says(_ backend: Platform.Choice) throws {
        let platform = try Platform.start(io: backend)
        #expect(platform.backend.rawValue == backend.rawValue)
        #expect(!platform.backendDescription.isEmpty)
        platform.shutdown()
    }

    @Test("Where io_uring fails, auto goes on with system calls and says why", arguments: [EPERM, ENOSYS, EOPNOTSUPP])
    func fallback(_ errorNumber: Int32) async throws {
        let platform = try Platform.start(io: .auto, faults: Platform.Faults(uringRefusal: errorNumber))
        #expect(platform.backend == .posix)
        #expect(platform.backendDescription.contains("io_uring is"))
        let value = try await platform.run { _ in 1 }
        #expect(value == 1)
        platform.shutdown()
        let failure = #expect(throws: IOError.self) {
            try Platform.start(io: .uring, faults: Platform.Faults(uringRefusal: errorNumber))
        }
        #expect(failure?.reason == .unsupported && failure?.errorNumber == errorNumber)
    }

    @Test("A container that forbids io_uring is met with plain system calls")
    func forbidden() throws {
        let result = Monitor<(auto: Platform.Backend, line: String, uringRefused: Bool)?>(nil)
        let thread = try PlatformThread(name: "contained") {
            do {
                try Platform.forbidUring()
                let platform = try Platform.start(io: .auto)
                let description = platform.backendDescription
                platform.shutdown()
                var uringRefused = false
                do { try Platform.start(io: .uring).shutdown() } catch { uringRefused = true }
                result.change { $0 = (platform.backend, description, uringRefused) }
            } catch {
                result.change { $0 = (.uring, "\(error)", false) }
            }
        }
        thread.join()
        let (backend, line, uringRefused) = result.wait { $0 }
        #expect(backend == .posix)
        #expect(line.contains("forbidden to this process"))
        #expect(uringRefused)
    }

    @Test("Shutting down cancels what waits and ends the loop", arguments: backends)
    func shutdown(_ backend: Platform.Choice) async throws {
        let platform = try Platform.start(io: backend)
        let ends = Monitor<[IOError.Reason?]>([])
        try await platform.run { seams in
            let listener = try await seams.network.listen(SocketAddress(host: "127.0.0.1", port: 0))
            let client = try await seams.network.connect(listener.address)
            let server = try await listener.accept()
            seams.scheduler.spawn("accept") {
                let end = await reason { _ = try await listener.accept() }
                server.close()
                ends.change { $0.append(end) }
            }
            seams.scheduler.spawn("receive") {
                let end = await reason { _ = try await client.receive(into: IOBuffer(count: 1), 0..<1) }
                ends.change { $0.append(end) }
            }
            await Task.yield()
        }
        platform.shutdown()
        #expect(ends.wait { $0 } == [.closed, .closed])
    }

    @Test("Many platforms can follow and stand beside each other", arguments: backends)
    func many(_ backend: Platform.Choice) async throws {
        for _ in 0..<5 {
            let platforms = try (0..<8).map { _ in try Platform.start(io: backend) }
            for (number, platform) in platforms.enumerated() {
                #expect(try await platform.run { _ in number } == number)
            }
            for platform in platforms { platform.shutdown() }
        }
    }

    @Test("Signals come as values, in order of arrival", arguments: backends)
    func signals(_ backend: Platform.Choice) throws {
        let taken = Monitor<[Int32]?>(nil)
        // Blocked on a thread of its own, from which the loop's thread inherits: the other tests' threads are not
        // concerned, since the loop signals itself.
        let thread = try PlatformThread(name: "program") {
            let end = try? Self.signalsOfAProgram(backend)
            taken.change { $0 = end ?? [] }
        }
        thread.join()
        #expect(taken.wait { $0 } == [SIGUSR1, SIGUSR2])
    }

    private static func signalsOfAProgram(_ backend: Platform.Choice) throws -> [Int32] {
        try Signals.block([SIGUSR1, SIGUSR2])
        let platform = try Platform.start(io: backend)
        defer { platform.shutdown() }
        return try platform.runToEnd { seams in
            let signals = try platform.signals([SIGUSR1, SIGUSR2])
            seams.scheduler.spawn("sender") {
                await seams.clock.sleep(nanoseconds: 1_000_000)
                raise(SIGUSR1)
                await seams.clock.sleep(nanoseconds: 1_000_000)
                raise(SIGUSR2)
            }
            return [try await signals.next(), try await signals.next()]
        }
    }
}
