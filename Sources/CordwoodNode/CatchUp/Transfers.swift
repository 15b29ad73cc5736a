import CordwoodBase
import CordwoodLog
import CordwoodRaft

/// What a node has to do with Raft snapshots at the moment: those that it offers and the one that it takes.
struct Transfers {
    /// `nil` in a node without peers.
    var source: SnapshotSource?
    var catchUp: CatchUp?

    /// Manifests that the core is about to send.
    var offered: [ReplicaID: [UInt8]] = [:]
    /// Members for whom a manifest is being made.
    var offering: Set<ReplicaID> = []

    /// A snapshot as it was offered to this node.
    struct Offer {
        var message: RaftMessage
        var manifest: SnapshotManifest
    }

    /// The offer whose pieces are being fetched.
    var current: Offer?
    /// An offer that came meanwhile and takes its place.
    var next: Offer?
    /// From the moment when the fetched snapshot is given to the core until it is in place: nothing is appended,
    /// dispatched or written down meanwhile.
    var isInstalling = false
    /// The write that decides the installation.
    var ticket: LogTicket?
    /// What is to be said once the snapshot is in place.
    var answers: [RaftMessage] = []
    /// Who waits until no snapshot is being installed, and until none is being fetched either.
    var installWaiters: [UnsafeContinuation<Void, Never>] = []
    var fetchWaiters: [UnsafeContinuation<Void, Never>] = []
}
