import CordwoodBase

/// The connections that are open, by number.
struct ClientRegistry {
    private(set) var byNumber: [UInt64: ClientConnection] = [:]
    private var nextNumber: UInt64 = 1

    var count: Int { byNumber.count }

    /// In the order in which they were accepted.
    var ordered: [ClientConnection] { byNumber.values.sorted { $0.number < $1.number } }

    mutating func nextConnectionNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    mutating func add(_ connection: ClientConnection) { byNumber[connection.number] = connection }

    mutating func remove(_ connection: ClientConnection) { byNumber[connection.number] = nil }
}
