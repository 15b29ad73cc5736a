import CordwoodIO
import Glibc
import Testing

@testable import CordwoodPlatform

/// What harnesses put between the loop and the kernel.
@Suite("Tampering with I/O")
struct TamperingTests {
    /// Writes "abcd" and then "efgh" behind it, each durably, and returns what the file holds.
    private static func written(
        _ backend: Platform.Choice, _ tamperings: [IOTampering], ring: Platform.RingSize = Platform.RingSize()
    ) async throws -> String {
        let platform = try Platform.start(io: backend, tampering: tamperings, ring: ring)
        defer { platform.shutdown() }
        return try await platform.run { seams in
            let path = "/tmp/cordwood-tampered-\(seams.random.next())"
            let file = try await seams.files.open(path, FileMode(.mustCreate, writable: true))
            let text = IOBuffer(text: "abcdefgh")
            do {
                try await file.write(text, 0..<4, at: 0, durable: true)
                try await file.write(text, 4..<8, at: 4, durable: true)
            } catch {
                await file.close()
                try await seams.files.remove(path)
                throw error
            }
            let back = IOBuffer(count: 16, repeating: 0x2e)
            let count = try await file.read(into: back, 0..<16, at: 0)
            let found = back.text(0..<count)
            await file.close()
            try await seams.files.remove(path)
            return found
        }
    }

    @Test("a write that is lost leaves what was there", arguments: backends)
    func lost(_ backend: Platform.Choice) async throws {
        #expect(try await Self.written(backend, [IOTampering(.drop, .write, number: 1)]) == "\0\0\0\0efgh")
    }

    @Test("a write to the wrong place is where it was sent", arguments: backends)
    func misdirected(_ backend: Platform.Choice) async throws {
        #expect(try await Self.written(backend, [IOTampering(.redirect, .write, number: 2, value: 4)]) == "efgh")
    }

    @Test("what is cut short or interrupted is completed", arguments: backends)
    func completed(_ backend: Platform.Choice) async throws {
        let tamperings = [
            IOTampering(.shorten, .write, number: 1, count: 2),
            IOTampering(.refuse, .read, number: 1, value: Int(EINTR)),
            IOTampering(.hold, .change, number: 1, count: 100),
        ]
        #expect(try await Self.written(backend, tamperings) == "abcdefgh")
    }

    @Test(
        "an error is one, whether the operation was done or not", arguments: backends,
        [.refuse, .spoil] as [IOTampering.Act])
    func failed(_ backend: Platform.Choice, _ act: IOTampering.Act) async throws {
        await #expect(throws: IOError.self) {
            _ = try await Self.written(backend, [IOTampering(act, .write, number: 2, value: Int(EIO))])
        }
    }

    @Test("rings of one and two entries do the same work")
    func tinyRings() async throws {
        let ring = Platform.RingSize(submissions: 1, completions: 2)
        #expect(try await Self.written(.uring, [], ring: ring) == "abcdefgh")
    }

    @Test("a tampering is read as it is written", arguments: IOTampering.Act.allCases)
    func text(_ act: IOTampering.Act) {
        for kind in IOTampering.Kind.allCases {
            let tampering = IOTampering(act, kind, number: 7, count: 2, value: 5)
            #expect(IOTampering("\(tampering)") == tampering)
        }
        #expect(IOTampering("kill-before,write,1,1") == nil)
    }
}
