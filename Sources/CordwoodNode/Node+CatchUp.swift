import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft

/// Catching up, as the node does it.
extension Node {
    /// How the partition logs of a data directory are kept.
    static func partitionLogConfiguration(
        _ configuration: NodeConfiguration, _ identity: LogIdentity
    ) -> PartitionLogPool.Configuration {
        PartitionLogPool.Configuration(
            directory: configuration.directory + "/" + Directory.partitions, identity: identity,
            segmentBytes: configuration.partitionSegmentBytes, maxOpenFiles: configuration.maxOpenFiles,
            bufferBytes: configuration.partitionBufferBytes, cacheBytes: configuration.cacheBytes,
            persistAgeNanoseconds: configuration.partitionSyncAgeNanoseconds)
    }

    /// A crash may have cut an installation off behind its record: the rest is done before anything is opened. What it
    /// lacks of the pieces that were staged, or cannot read of them, a member of a group fetches again.
    static func completeInstallation(
        _ configuration: NodeConfiguration, _ store: SegmentedLogStore, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) {
        guard let installation = store.installation, store.state.health == .ok else { return }
        let snapshots = SnapshotStore(directory: configuration.directory + "/" + Directory.snapshots, seams: seams)
        var isFetched = false
        while true {
            do throws(CatchUpError) {
                _ = try await CatchUp.complete(
                    installation, store: store, directory: configuration.directory + "/" + Directory.staging,
                    logs: partitionLogConfiguration(configuration, store.identity), snapshots: snapshots, log: log,
                    seams: seams)
                return
            } catch {
                guard case .needsSnapshot(let partitions) = error, configuration.peerAddress != nil, !isFetched else {
                    throw .inconsistent(
                        "the installation at \(installation.boundary.index) cannot be completed: \(error)")
                }
                log.write(
                    LogEvent(
                        .warn, "node", "pieces of an installation are lacking and are fetched again",
                        fields: [.init("partitions", partitions.map { "\($0)" }.joined(separator: " "))]))
            }
            try await fetchAgain(installation, configuration, store, snapshots, log, seams)
            isFetched = true
        }
    }

    /// Returns once all that the manifest of an installation names is held or staged.
    private static func fetchAgain(
        _ installation: InstallRecord, _ configuration: NodeConfiguration, _ store: SegmentedLogStore,
        _ snapshots: SnapshotStore, _ log: any LogSink, _ seams: Seams
    ) async throws(NodeError) {
        let manifest: SnapshotManifest
        do throws(DecodeError) { manifest = try SnapshotManifest(decoding: installation.manifest) } catch {
            throw .inconsistent("the manifest of the installation at \(installation.boundary.index): \(error)")
        }
        let logs = partitionLogConfiguration(configuration, store.identity)
        let partitionCount = manifest.membership.partitionCount
        let live = PartitionLogPool(configuration: logs, seams: seams, partitionCount: partitionCount)
        live.log = log
        let staging = StagingArea(
            directory: configuration.directory + "/" + Directory.staging, configuration: logs,
            partitionCount: partitionCount, log: log, seams: seams)
        var isRemoved = false
        let peers = try await WaitingRoom.open(
            configuration, store.identity, manifest.membership, log, seams, onRemoval: { isRemoved = true })
        let timeout = configuration.catchUp.timeoutNanoseconds
        let fetch = SnapshotFetch(
            live: live, snapshots: snapshots, staging: staging, configuration: configuration.catchUp, seams: seams,
            committed: { live.store(of: $0).persistedIndex },
            call: { try await peers.call($0, .piece, $1, lane: .bulk, timeoutNanoseconds: timeout) })
        let others = manifest.membership.members.map(\.replica).filter { $0 != store.identity.replica }
        while !isRemoved {
            do throws(CatchUpError) {
                try await fetch.run(manifest, from: others)
                break
            } catch {
                log.write(
                    LogEvent(
                        .warn, "node", "pieces of an installation cannot be fetched yet",
                        fields: [.init("reason", "\(error)")]))
            }
            if !isRemoved { await seams.clock.sleep(nanoseconds: offerPauseNanoseconds) }
        }
        await peers.close()
        await live.abandon()
        await staging.close()
        if isRemoved { throw .removed(store.identity.replica) }
    }

    /// Gets ready to offer and to take snapshots, once there are peers.
    func openTransfers(_ transport: PeerTransport) {
        let source = SnapshotSource(
            store: store, machines: machines, configuration: configuration.catchUp, log: log, seams: seams,
            membership: { [unowned self] in membership }, timestamp: { [unowned self] in lastTimestampMicroseconds })
        source.onFailed = { [unowned self] in transferFailed(to: $0, at: $1) }
        transport.services[.piece] = { [source] caller, body in
            .success(await source.serve(body, from: caller.replica))
        }
        transfers.source = source
        let timeout = configuration.catchUp.timeoutNanoseconds
        transfers.catchUp = CatchUp(
            directory: configuration.directory + "/" + Directory.staging, store: store, machines: machines,
            configuration: configuration.catchUp, log: log, seams: seams
        ) { peer, body in
            try await transport.call(peer, .piece, body, lane: .bulk, timeoutNanoseconds: timeout)
        }
    }

    /// The snapshot that this node takes from others, or took last.
    public var catchUpProgress: CatchUp.Progress? { transfers.catchUp?.progress }

    /// Pieces of a snapshot are being fetched or put in place.
    public var isCatchingUp: Bool { transfers.current != nil }

    // MARK: Offering

    /// A peer needs what the log no longer holds: a manifest is made for it, again and again until there is one.
    func offerSnapshot(to peer: ReplicaID) {
        guard let source = transfers.source, transfers.offering.insert(peer).inserted else { return }
        seams.scheduler.spawn("offer a snapshot to replica \(peer)") { [self] in
            while core.progress(of: peer) != nil, !isClosing, storeFailure == nil {
                do throws(CatchUpError) {
                    let manifest = try await source.offer(for: peer)
                    transfers.offered[peer] = manifest.encoded()
                    step(.snapshotOffered(peer: peer, manifest.position))
                    // The core sent it, or did not need it any more.
                    if transfers.offered.removeValue(forKey: peer) != nil { source.release(peer) }
                    break
                } catch {
                    if isClosing { break }
                    log.write(
                        LogEvent(
                            .warn, "node", "no snapshot can be offered",
                            fields: [.init("peer", "\(peer)"), .init("reason", "\(error)")]))
                }
                await seams.clock.sleep(nanoseconds: Node.offerPauseNanoseconds)
            }
            transfers.offering.remove(peer)
        }
    }

    private static let offerPauseNanoseconds: UInt64 = 1_000_000_000
    /// A peer that has not asked for anything for so long has lost the offer or itself.
    private static let silenceNanoseconds: UInt64 = 30_000_000_000

    func sendSnapshot(_ message: RaftMessage) {
        guard let manifest = transfers.offered.removeValue(forKey: message.to) else {
            brokenInvariant("no snapshot was offered, and the core sends one: \(message)")
        }
        transmit(message, attachment: manifest)
    }

    /// The peer could not take what was offered: the core asks for another one, which goes on from what the peer holds.
    private func transferFailed(to peer: ReplicaID, at position: LogPosition) {
        guard let pin = transfers.source?.pins.first(where: { $0.peer == peer }), pin.index == position.index.next
        else {
            return
        }
        endTransfer(to: peer)
    }

    private func endTransfer(to peer: ReplicaID) {
        transfers.source?.release(peer)
        step(.snapshotSent(peer: peer, succeeded: false))
    }

    /// Lets go of what nobody fetches any more: the peer has it, is no member, or has fallen silent.
    func watchTransfers() {
        guard let source = transfers.source else { return }
        let now = seams.clock.monotonicNanoseconds
        for pin in source.pins where !transfers.offering.contains(pin.peer) {
            guard let progress = core.progress(of: pin.peer), progress.match < pin.index.previous else {
                // It had all of it before it was offered, and the offer was lost: nobody answers, and the core waits.
                if core.progress(of: pin.peer)?.state == .snapshot {
                    endTransfer(to: pin.peer)
                } else {
                    source.release(pin.peer)
                }
                continue
            }
            if now - pin.heardNanoseconds > Node.silenceNanoseconds { endTransfer(to: pin.peer) }
        }
    }

    /// A connection broke: an offer that the peer has not taken up may be lost.
    func transferUnreachable(_ peer: ReplicaID) {
        guard let pin = transfers.source?.pins.first(where: { $0.peer == peer }), !pin.hasBegun,
            !transfers.offering.contains(peer)
        else { return }
        endTransfer(to: peer)
    }

    // MARK: Taking

    /// A leader offers a snapshot. What of its pieces is lacking is fetched; then the core takes it.
    func receivedSnapshot(_ message: RaftMessage, manifest bytes: [UInt8]) {
        let manifest: SnapshotManifest
        do throws(DecodeError) { manifest = try SnapshotManifest(decoding: bytes) } catch {
            return refuse(message, "the manifest cannot be read: \(error)")
        }
        guard manifest.position == LogPosition(index: message.index, term: message.logTerm) else {
            return refuse(message, "the manifest is one of \(manifest.position)")
        }
        guard !transfers.isInstalling else { return }
        let offer = Transfers.Offer(message: message, manifest: manifest)
        guard core.needsSnapshot(manifest.position), message.term >= core.term, transfers.catchUp != nil else {
            return take(offer)
        }
        if let current = transfers.current {
            guard current.manifest.position != manifest.position || current.message.from != message.from else { return }
            transfers.next = offer
            transfers.catchUp?.cancel()
        } else {
            transfers.current = offer
            seams.scheduler.spawn("fetch a snapshot") { [self] in await fetchOffers() }
        }
    }

    private func refuse(_ message: RaftMessage, _ reason: String) {
        log.write(
            LogEvent(
                .warn, "node", "a snapshot is not taken",
                fields: [
                    .init("peer", "\(message.from)"), .init("index", "\(message.index)"), .init("reason", reason),
                ]))
    }

    /// Gives a snapshot to the core, which installs it if it brings this replica further, and answers the leader.
    private func take(_ offer: Transfers.Offer) {
        core.receiveSnapshot(offer.message, configuration: offer.manifest.membership.configuration, into: &effects)
        carryOut()
    }

    private func fetchOffers() async {
        while let offer = transfers.current, let catchUp = transfers.catchUp, !isClosing {
            let position = offer.manifest.position
            let others = membership.members.map(\.replica).filter { $0 != replica && $0 != offer.message.from }
            do throws(CatchUpError) {
                try await catchUp.fetch(offer.manifest, from: [offer.message.from] + others)
                if transfers.next == nil, !isClosing { await install(offer, catchUp) }
            } catch {
                refuse(offer.message, "\(error)")
                if error != .cancelled { await tellFailed(offer.message.from, position) }
            }
            transfers.current = transfers.next
            transfers.next = nil
        }
        transfers.current = nil
        let waiters = transfers.fetchWaiters
        transfers.fetchWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func tellFailed(_ leader: ReplicaID, _ position: LogPosition) async {
        do throws(PeerError) {
            _ = try await peers?.call(
                leader, .piece, PieceRequest.failed(position).encoded(),
                timeoutNanoseconds: configuration.catchUp.timeoutNanoseconds)
        } catch {
            // It finds out by this replica's silence.
            log.write(
                LogEvent(
                    .info, "node", "the leader does not hear of a failed transfer",
                    fields: [.init("peer", "\(leader)"), .init("reason", "\(error)")]))
        }
    }

    // MARK: Installing

    /// Everything is fetched: the core takes the snapshot, and what was staged goes to its place.
    private func install(_ offer: Transfers.Offer, _ catchUp: CatchUp) async {
        transfers.isInstalling = true
        defer { endInstallation() }
        await settleUpkeep()
        while repairs.isExchanging { await seams.clock.sleep(nanoseconds: 1_000_000) }
        while isGivingUp { await seams.clock.sleep(nanoseconds: 1_000_000) }
        await catchUp.prepare()
        transfers.ticket = nil
        if storeFailure == nil, !isClosing { take(offer) }
        guard let ticket = transfers.ticket else { return catchUp.giveUp() }
        do throws(CatchUpError) { try await catchUp.complete(offer.manifest, ticket) } catch {
            transfers.answers = []
            if case .log(let failure) = error { return storeFailed(failure) }
            return storeFailed(.unavailable("the snapshot at \(offer.manifest.position) is not in place: \(error)"))
        }
        let index = offer.manifest.boundary.index
        keepRecent(from: index.next)
        maintenance.checkpointCovers = max(maintenance.checkpointCovers, index)
        answeredDurable = max(answeredDurable, index)
        step(.snapshotDurable(offer.manifest.position))
    }

    /// The core has decided: the record that makes it so takes its place among the writes.
    func install(_ position: LogPosition, _ token: DurabilityToken) {
        guard transfers.isInstalling, let catchUp = transfers.catchUp, let manifest = transfers.current?.manifest,
            manifest.position == position
        else { brokenInvariant("no snapshot was fetched, and the core installs one at \(position)") }
        do throws(LogError) {
            let ticket = try catchUp.record(manifest)
            transfers.ticket = ticket
            pendingWrites.append(
                PendingWrite(sequence: ticket.sequence, token: token, tick: maintenance.ticks))
        } catch { return storeFailed(error) }
        membership = manifest.membership
        lastTimestampMicroseconds = max(lastTimestampMicroseconds, manifest.timestampMicroseconds)
        recovered = []
        gate?.install(through: position.index)
        tellEligibility(into: &effects)
        // What is dropped behind S the core still follows: it says so when another term is committed there.
        for waiter in proposals.takeAll(in: 0..<position.index.next, term: nil) {
            waiter.observer.proposalEnded(tag: waiter.tag, outcome: .unknown(.coveredBySnapshot))
        }
    }

    private func endInstallation() {
        transfers.isInstalling = false
        transfers.ticket = nil
        if storeFailure == nil {
            tellEligibility(into: &effects)
            carryOut()
            let answers = transfers.answers
            transfers.answers = []
            for answer in answers { deliver(answer) }
            carryOut()
        }
        let waiters = transfers.installWaiters
        transfers.installWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Closing

    /// Waits until no snapshot is being put in place.
    func settleInstallation() async {
        transfers.catchUp?.cancel()
        while transfers.isInstalling { await withUnsafeContinuation { transfers.installWaiters.append($0) } }
    }

    /// Ends what is under way, once the peers are closed.
    func closeTransfers() async {
        while transfers.current != nil { await withUnsafeContinuation { transfers.fetchWaiters.append($0) } }
        await transfers.catchUp?.close()
        // An offer that is being made reads partition logs, and finds out soon that nobody wants it any more.
        await transfers.source?.close()
        while !transfers.offering.isEmpty { await seams.clock.sleep(nanoseconds: 1_000_000) }
    }
}
