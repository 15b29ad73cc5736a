extension FileSystem {
    /// Makes one directory whose name survives a crash; succeeds when it is there already.
    public func makeDurableDirectory(_ path: String) async throws(IOError) {
        try await makeDirectory(path)
        var parent = Substring(path)
        while parent.count > 1, parent.last == "/" { parent.removeLast() }
        parent = parent.lastIndex(of: "/").map { parent[...$0] } ?? "."
        while parent.count > 1, parent.last == "/" { parent.removeLast() }
        try await syncDirectory(String(parent))
    }
}
