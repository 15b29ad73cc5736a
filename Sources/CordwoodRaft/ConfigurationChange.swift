public import CordwoodBase

/// A change of a group's configuration, the content of a configuration entry.
///
/// A change without steps and with automatic transition leaves joint consensus. One step with automatic transition is
/// a simple change; everything else goes through joint consensus.
public struct ConfigurationChange: Hashable, Sendable {
    public enum Step: Hashable, Sendable {
        /// Adds a voter, or promotes a learner.
        case addVoter(ReplicaID)
        /// Adds a learner, or demotes a voter.
        case addLearner(ReplicaID)
        case remove(ReplicaID)
        /// Changes nothing in the configuration: the entry's context may tell the application more.
        case update(ReplicaID)

        public var replica: ReplicaID {
            switch self {
            case .addVoter(let id), .addLearner(let id), .remove(let id), .update(let id): id
            }
        }
    }

    public enum Transition: UInt8, Hashable, Sendable {
        /// Joint consensus only when more than one step asks for it; left automatically.
        case auto = 0
        /// Through joint consensus, left automatically.
        case implicit = 1
        /// Through joint consensus, left on request.
        case explicit = 2
    }

    public var steps: [Step]
    public var transition: Transition

    public init(_ steps: [Step], transition: Transition = .auto) {
        self.steps = steps
        self.transition = transition
    }

    public static let leaveJoint = ConfigurationChange([])

    public var leavesJoint: Bool { steps.isEmpty && transition == .auto }

    /// Whether the change enters joint consensus.
    public var entersJoint: Bool { steps.count > 1 || transition != .auto }
}

/// Why a change does not fit the configuration it meets. Every replica comes to the same verdict, so a committed
/// change that does not fit changes nothing anywhere.
public enum ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    case removedAllVoters
    case severalVotersWithoutJoint
    case notJoint
    case noVoters
    case alreadyJoint
    case simpleWhileJoint

    public var description: String {
        switch self {
        case .removedAllVoters: "removed all voters"
        case .severalVotersWithoutJoint: "more than one voter changed without entering joint config"
        case .notJoint: "can't leave a non-joint config"
        case .noVoters: "can't make a zero-voter config joint"
        case .alreadyJoint: "config is already joint"
        case .simpleWhileJoint: "can't apply simple config change in joint config"
        }
    }
}
