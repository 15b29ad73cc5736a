import CordwoodBase
import CordwoodRaft

/// Members that are behind the log.
extension Node {
    func offerSnapshot(to peer: ReplicaID) {
        log.write(
            LogEvent(
                .warn, "raft", "a peer needs what the log no longer holds", fields: [.init("peer", "\(peer)")]))
    }

    func sendSnapshot(_ message: RaftMessage) {
        brokenInvariant("no snapshot was offered, and the core sends one: \(message)")
    }

    func install(_ position: LogPosition, _ token: DurabilityToken) {
        brokenInvariant("no snapshot was taken, and the core installs one at \(position)")
    }

    func receivedSnapshot(_ message: RaftMessage, manifest: [UInt8]) {
        log.write(
            LogEvent(.warn, "raft", "a snapshot is not taken", fields: [.init("index", "\(message.index)")]))
    }
}
