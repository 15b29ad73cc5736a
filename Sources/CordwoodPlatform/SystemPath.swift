internal import Glibc

/// A path as the kernel reads it, kept in one place while an operation is under way.
final class SystemPath {
    let bytes: UnsafePointer<CChar>
    private let owned: UnsafeMutablePointer<CChar>

    init(_ path: String) {
        let characters = path.utf8CString
        owned = UnsafeMutablePointer.allocate(capacity: characters.count)
        for (index, character) in characters.enumerated() { owned[index] = character }
        bytes = UnsafePointer(owned)
    }

    deinit { owned.deallocate() }
}
