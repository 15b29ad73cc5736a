/// Small files that are read and replaced as a whole.
extension FileSystem {
    /// The contents of a file; `nil` when there is none.
    public func contents(of path: String) async throws(IOError) -> [UInt8]? {
        let file: any File
        do throws(IOError) { file = try await open(path, FileMode(.mustExist, writable: false)) } catch {
            if error.reason == .notFound { return nil }
            throw error
        }
        do throws(IOError) {
            let size = Int(clamping: try await file.size())
            var bytes: [UInt8] = []
            bytes.reserveCapacity(size)
            let buffer = IOBuffer(count: max(1, min(size, wholeFileChunkBytes)))
            while bytes.count < size {
                let count = min(buffer.count, size - bytes.count)
                let got = try await file.read(into: buffer, 0..<count, at: UInt64(bytes.count))
                if got == 0 { break }
                bytes.append(contentsOf: buffer[0..<got])
            }
            await file.close()
            return bytes
        } catch {
            await file.close()
            throw error
        }
    }

    /// Writes a file under a temporary name, syncs and renames it, so that the name stands for the old or for the new
    /// contents. Which of them survives a crash is certain only when `isDurable`: the directory is synced then. When it
    /// fails, the old contents stand and take no more room than before; a crash may leave the temporary file.
    public func replaceContents(
        of name: String, in directory: String, with bytes: [UInt8], isDurable: Bool = true
    ) async throws(IOError) {
        let temporary = "\(directory)/\(name).temporary"
        let file = try await open(temporary, FileMode(.createIfMissing, writable: true))
        do throws(IOError) {
            try await file.resize(0)
            let buffer = IOBuffer(count: max(1, min(bytes.count, wholeFileChunkBytes)))
            var offset = 0
            while offset < bytes.count {
                let count = min(buffer.count, bytes.count - offset)
                bytes.withUnsafeBytes { raw in
                    buffer.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[offset..<offset + count]))
                }
                try await file.write(buffer, 0..<count, at: UInt64(offset), durable: false)
                offset += count
            }
            try await file.sync()
            await file.close()
        } catch {
            await file.close()
            try? await remove(temporary)
            throw error
        }
        try await rename(temporary, to: "\(directory)/\(name)")
        if isDurable { try await syncDirectory(directory) }
    }
}

private let wholeFileChunkBytes = 1 << 20
