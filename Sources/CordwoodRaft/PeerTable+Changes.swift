public import CordwoodBase

/// The algebra of configuration changes. A change that throws leaves the table as it was.
extension PeerTable {
    /// A table for a configuration that is known to be one; `lastIndex` as in `apply`.
    public init(configuration: GroupConfiguration, lastIndex: RaftIndex, window: InflightWindow) {
        self.init(window: window)
        self.configuration = configuration
        for id in Set(configuration.voters + configuration.outgoing + configuration.learners).sorted() {
            admit(id, asLearner: configuration.learners.contains(id), lastIndex: lastIndex)
        }
        mirror()
    }

    /// Applies a change. New members start at `lastIndex`: they are probed with the end of the log.
    public mutating func apply(_ change: ConfigurationChange, lastIndex: RaftIndex) throws(ConfigurationError) {
        if change.leavesJoint {
            try leaveJoint()
        } else if change.entersJoint {
            try enterJoint(change.steps, leavesAutomatically: change.transition != .explicit, lastIndex: lastIndex)
        } else {
            try applySimple(change.steps, lastIndex: lastIndex)
        }
    }

    /// Changes one voter at most, without joint consensus.
    public mutating func applySimple(_ steps: [ConfigurationChange.Step], lastIndex: RaftIndex)
        throws(ConfigurationError)
    {
        if configuration.isJoint { throw .simpleWhileJoint }
        var changed = self
        try changed.take(steps, lastIndex: lastIndex)
        let difference = Set(configuration.voters).symmetricDifference(changed.configuration.voters)
        if difference.count > 1 { throw .severalVotersWithoutJoint }
        self = changed
    }

    /// Makes the present voters the outgoing half and applies the steps to the incoming one.
    public mutating func enterJoint(
        _ steps: [ConfigurationChange.Step], leavesAutomatically: Bool, lastIndex: RaftIndex
    ) throws(ConfigurationError) {
        if configuration.isJoint { throw .alreadyJoint }
        if configuration.voters.isEmpty { throw .noVoters }
        var changed = self
        changed.configuration.outgoing = configuration.voters
        try changed.take(steps, lastIndex: lastIndex)
        changed.configuration.leavesAutomatically = leavesAutomatically
        self = changed
    }

    /// Drops the outgoing half; voters that were demoted become learners, those in neither half leave.
    public mutating func leaveJoint() throws(ConfigurationError) {
        if !configuration.isJoint { throw .notJoint }
        for id in configuration.learnersNext {
            Self.insert(id, into: &configuration.learners)
            if let place = place(of: id) { peers[place].progress.isLearner = true }
        }
        configuration.learnersNext = []
        configuration.outgoing = []
        configuration.leavesAutomatically = false
        let remaining = configuration
        peers.removeAll { !remaining.contains($0.id) }
        mirror()
    }

    private mutating func take(_ steps: [ConfigurationChange.Step], lastIndex: RaftIndex) throws(ConfigurationError) {
        for step in steps where step.replica != .none {
            switch step {
            case .addVoter(let id): makeVoter(id, lastIndex: lastIndex)
            case .addLearner(let id): makeLearner(id, lastIndex: lastIndex)
            case .remove(let id): remove(id)
            case .update: continue
            }
        }
        if configuration.voters.isEmpty { throw .removedAllVoters }
        mirror()
    }

    private mutating func makeVoter(_ id: ReplicaID, lastIndex: RaftIndex) {
        if let place = place(of: id) {
            peers[place].progress.isLearner = false
            configuration.learners.removeAll { $0 == id }
            configuration.learnersNext.removeAll { $0 == id }
        } else {
            admit(id, asLearner: false, lastIndex: lastIndex)
        }
        Self.insert(id, into: &configuration.voters)
    }

    private mutating func makeLearner(_ id: ReplicaID, lastIndex: RaftIndex) {
        guard let place = place(of: id) else {
            admit(id, asLearner: true, lastIndex: lastIndex)
            Self.insert(id, into: &configuration.learners)
            return
        }
        if peers[place].progress.isLearner { return }
        configuration.voters.removeAll { $0 == id }
        // A voter of the outgoing half goes on voting there and becomes a learner when joint consensus is left.
        if configuration.outgoing.contains(id) {
            Self.insert(id, into: &configuration.learnersNext)
        } else {
            peers[place].progress.isLearner = true
            Self.insert(id, into: &configuration.learners)
        }
    }

    private mutating func remove(_ id: ReplicaID) {
        guard let place = place(of: id) else { return }
        configuration.voters.removeAll { $0 == id }
        configuration.learners.removeAll { $0 == id }
        configuration.learnersNext.removeAll { $0 == id }
        if !configuration.outgoing.contains(id) { peers.remove(at: place) }
    }

    /// A new member counts as active: it has had no chance to answer yet.
    private mutating func admit(_ id: ReplicaID, asLearner isLearner: Bool, lastIndex: RaftIndex) {
        let progress = Progress(
            match: 0, next: max(lastIndex, 1), window: window, isLearner: isLearner, isRecentlyActive: true)
        let place = peers.firstIndex { $0.id > id } ?? peers.endIndex
        peers.insert(Peer(id: id, progress: progress), at: place)
    }

    /// Brings the marks in the peers in line with the configuration.
    private mutating func mirror() {
        for place in peers.indices {
            peers[place].isIncoming = configuration.voters.contains(peers[place].id)
            peers[place].isOutgoing = configuration.outgoing.contains(peers[place].id)
        }
    }

    private static func insert(_ id: ReplicaID, into list: inout [ReplicaID]) {
        let place = list.firstIndex { $0 >= id } ?? list.endIndex
        if place == list.endIndex || list[place] != id { list.insert(id, at: place) }
    }
}

extension GroupConfiguration {
    /// The configuration that a change leads to.
    public func applying(_ change: ConfigurationChange) throws(ConfigurationError) -> GroupConfiguration {
        var table = PeerTable(
            configuration: self, lastIndex: 0, window: InflightWindow(maxMessages: 1, maxBytes: 0))
        try table.apply(change, lastIndex: 0)
        return table.configuration
    }
}
