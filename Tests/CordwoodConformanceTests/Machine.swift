import CordwoodIO
import CordwoodPlatform
import CordwoodVirtual
import Glibc

/// What can stand behind the seams: a virtual machine, or this one through either backend.
enum Machine: String, CaseIterable, Sendable {
    case virtual
    case uring
    case posix

    /// Runs `body` on the machine's loop, with an empty directory of its own.
    func run(seed: UInt64 = 1, _ body: @escaping @Sendable (Seams, String) async throws -> Void) async throws {
        switch self {
        case .virtual:
            try VirtualWorld(seed: seed).run { seams in
                try await seams.files.makeDirectory("/test")
                try await body(seams, "/test")
            }
        case .uring, .posix:
            let platform = try (self == .uring ? Machine.uringPlatform : Machine.posixPlatform).get()
            var template = Array("/tmp/cordwood-conformance-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else {
                throw IOError(.other, operation: "mkdtemp", subject: "/tmp", errorNumber: errno)
            }
            let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            defer { Machine.removeTree(directory) }
            try await platform.run { try await body($0, directory) }
        }
    }

    // One loop a backend serves all tests of a run.
    private static let uringPlatform = Result { try Platform.start(io: .uring) }
    private static let posixPlatform = Result { try Platform.start(io: .posix) }

    private static func removeTree(_ path: String) {
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
}
