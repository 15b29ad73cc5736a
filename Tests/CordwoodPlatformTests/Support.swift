import CordwoodIO
import CordwoodPlatform
import Glibc
import Testing

/// What each backend must do alike.
let backends: [Platform.Choice] = [.uring, .posix]

/// Runs `body` on the loop of a platform that lives as long as the call.
func onPlatform<Value: Sendable>(
    _ choice: Platform.Choice, _ body: @escaping @Sendable (Seams) async throws -> Value
) async throws -> Value {
    let platform = try Platform.start(io: choice)
    defer { platform.shutdown() }
    return try await platform.run(body)
}

/// As `onPlatform`, with a directory of its own that is removed afterwards.
func withDirectory<Value: Sendable>(
    _ choice: Platform.Choice, under parent: String = "/tmp",
    _ body: @escaping @Sendable (Seams, String) async throws -> Value
) async throws -> Value {
    var template = Array("\(parent)/cordwood-platform-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
        throw IOError(.other, operation: "mkdtemp", subject: parent, errorNumber: errno)
    }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let result: Result<Value, any Error>
    do {
        result = .success(try await onPlatform(choice) { try await body($0, directory) })
    } catch {
        result = .failure(error)
    }
    removeTree(directory)
    return try result.get()
}

private func removeTree(_ path: String) {
    if let stream = opendir(path) {
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { removeTree("\(path)/\(name)") }
        }
        closedir(stream)
    }
    remove(path)
}

/// The reason for which `body` fails, nil when it succeeds.
func reason(_ body: () async throws -> Void) async -> IOError.Reason? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? IOError)?.reason
    }
}

extension IOBuffer {
    convenience init(text: String) {
        let text = Array(text.utf8)
        self.init(count: max(text.count, 1))
        bytes.copyBytes(from: text)
    }

    convenience init(count: Int, repeating byte: UInt8) {
        self.init(count: count)
        for index in 0..<count { bytes[index] = byte }
    }

    func text(_ range: Range<Int>) -> String { String(decoding: self[range], as: UTF8.self) }
}

/// A count that tasks of one loop share.
final class Box<Value> {
    var value: Value

    init(_ value: Value) { self.value = value }
}

extension Scheduler {
    /// Runs the bodies as tasks of their own and returns when all have ended.
    func all(_ count: Int, _ body: @escaping (Int) async -> Void) async {
        guard count > 0 else { return }
        let left = Box(count)
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            for index in 0..<count {
                spawn("test-\(index)") {
                    await body(index)
                    left.value -= 1
                    if left.value == 0 { continuation.resume() }
                }
            }
        }
    }
}
