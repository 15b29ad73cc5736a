public import CordwoodBase
public import CordwoodIO
public import CordwoodRaft

/// Why catching up did not come to its end.
public enum CatchUpError: Error, Hashable, Sendable {
    case log(LogError)
    case io(IOError)
    /// A piece that the manifest names is not there any more: another manifest goes on from the pieces already held.
    case gone(PartitionID)
    /// No replica that was asked has answered, or none has the piece yet.
    case unreachable(PartitionID, String)
    /// What came over is not what the manifest says.
    case damaged(PartitionID, String)
    /// The source cannot make a manifest now.
    case notReady(String)
    /// An installation that was decided lacks pieces of these partitions.
    case needsSnapshot([PartitionID])
    /// The node is closing, or a later snapshot has taken this one's place.
    case cancelled
}

extension CatchUpError {
    /// Runs what can fail in the log or below it.
    static func lifting<Value>(_ body: () async throws -> Value) async throws(CatchUpError) -> Value {
        do { return try await body() } catch let error as CatchUpError { throw error } catch let error as LogError {
            throw .log(error)
        } catch let error as IOError { throw .io(error) } catch {
            brokenInvariant("catching up failed with \(error)")
        }
    }
}
