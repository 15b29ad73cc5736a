import CordwoodBase
import CordwoodNode

/// Which replicas have lost something, and whether another one may: faults are fair as long as, in every configuration
/// that may be in force, a majority of the voters is sound. Then a sound one holds whatever was committed, and the
/// group is expected to serve in the end. An unfair seed asks for none of that: it must come to a halt safely.
struct Atlas {
    let isFair: Bool
    /// Something of theirs was damaged, which they mend from the others, or their disk is gone.
    private(set) var damaged: Set<ReplicaID> = []

    init(isFair: Bool) { self.isFair = isFair }

    /// Whether the replica may lose something. `configurations` are all that may be in force.
    func mayDamage(_ replica: ReplicaID, in configurations: [[ReplicaID]]) -> Bool {
        guard isFair else { return true }
        if damaged.contains(replica) { return true }
        return !configurations.isEmpty
            && configurations.allSatisfy { voters in
                let sound = voters.filter { $0 != replica && !damaged.contains($0) }
                return sound.count > voters.count / 2
            }
    }

    /// Whether a change to these voters leaves a majority of sound ones.
    func allows(_ voters: [ReplicaID]) -> Bool {
        !isFair || voters.filter { !damaged.contains($0) }.count > voters.count / 2
    }

    mutating func damage(_ replica: ReplicaID) { damaged.insert(replica) }

    mutating func mend(_ replica: ReplicaID) { damaged.remove(replica) }
}
