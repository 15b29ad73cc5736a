import CordwoodBase
import CordwoodIO
import CordwoodMachine
import CordwoodVirtual

/// A subject under power cuts and damage, with the engine below it: whatever happens, its state is that of a machine to
/// which nothing ever happened, behind some number of the commands.
extension MachineConformance {
    /// A workload for a `CrashExploration`: commands to several partitions, their logs synced, snapshots, checkpoints,
    /// the floor raised, a restart.
    public static func crashWorkload(_ subject: MachineSubject, name: String = "partitions and machines")
        -> CrashWorkload
    {
        CrashWorkload(name) {
            let states = try undisturbedStates(of: subject)
            return CrashSubject(
                from: states[0],
                run: { seams, ledger in
                    var replica = try await MachineReplica.open(subject, seams)
                    var number = 0
                    for round in 0..<4 {
                        for _ in 0..<subject.commandCount / 4 {
                            let partition = PartitionID(UInt64(number % MachineReplica.partitionCount))
                            let step = ledger.begin(states[number + 1])
                            _ = try replica.begin(subject.command(number, partition), in: partition)
                            number += 1
                            if number % 2 == 0 {
                                try await replica.settle()
                                ledger.acknowledge(step)
                            }
                        }
                        try await replica.settle()
                        ledger.acknowledgeAll()
                        switch round {
                        case 0: try await replica.machines.logs.persist(0)
                        case 1:
                            _ = await replica.machines.snapshot(0)
                            _ = await replica.machines.snapshot(1)
                        case 2:
                            try await replica.checkpoint()
                            try await replica.close()
                            replica = try await MachineReplica.open(subject, seams)
                        default:
                            _ = await replica.machines.snapshot(0)
                            try await replica.checkpoint()
                        }
                    }
                    try await replica.close()
                },
                read: { seams in
                    let replica = try await MachineReplica.open(subject, seams)
                    let states = try await replica.states()
                    try expectEqual(replica.frozenReasons, [], "partitions that stand still")
                    return states.map { $0 ?? [] }
                })
        }
    }

    /// Damages a directory of the subject in one place at a time, in its snapshots and its partition logs, and opens
    /// it: each partition has its state, or stands still and says so. Returns how many cases had all states.
    ///
    /// - Parameter stride: every so many-th byte is damaged.
    public static func damage(_ subject: MachineSubject, every stride: Int = 97) throws -> (cases: Int, intact: Int) {
        let world = VirtualWorld(seed: 6)
        let expected = try world.run { seams in
            let replica = try await MachineReplica.open(subject, seams)
            for number in 0..<subject.commandCount {
                let partition = PartitionID(UInt64(number % MachineReplica.partitionCount))
                _ = try replica.begin(subject.command(number, partition), in: partition)
                if number == subject.commandCount / 2 {
                    try await replica.settle()
                    _ = await replica.machines.snapshot(0)
                    _ = await replica.machines.snapshot(1)
                }
            }
            try await replica.settle()
            _ = await replica.machines.snapshot(0)
            try await replica.checkpoint()
            let states = try await replica.states()
            try await replica.close()
            return states
        }
        let image = world.disk.image.flushed()
        let damagings = DamageSweep.flips(of: image, every: stride).filter {
            $0.path.contains("/snapshots/") || $0.path.contains("/partitions/")
        }
        var intact = 0
        for damaging in damagings {
            var damaged = image
            damaging.body(&damaged)
            let found = try VirtualWorld(seed: 7, disk: damaged).run { seams in
                try await MachineReplica.open(subject, seams).states()
            }
            for (partition, state) in found.enumerated() where state != nil && state != expected[partition] {
                throw ConformanceFailure(
                    "\(damaging.path) \(damaging.what): partition \(partition) has a state that never was")
            }
            if found == expected { intact += 1 }
        }
        return (damagings.count, intact)
    }

    /// The states of all partitions behind any number of the commands, of machines to which nothing ever happens.
    private static func undisturbedStates(of subject: MachineSubject) throws -> [[[UInt8]]] {
        try VirtualWorld(seed: 8).run { _ in
            let probes = try (0..<MachineReplica.partitionCount).map {
                try MachineProbe(subject, partition: PartitionID(UInt64($0)))
            }
            var states: [[[UInt8]]] = [[]]
            for probe in probes { states[0].append(try await probe.snapshot()) }
            for number in 0..<subject.commandCount {
                let at = number % MachineReplica.partitionCount
                let partition = PartitionID(UInt64(at))
                _ = try await probes[at].apply(
                    PartitionCommand(
                        partition: partition,
                        partitionIndex: PartitionLogIndex(UInt64(number / MachineReplica.partitionCount) + 1),
                        raftIndex: RaftIndex(UInt64(number) + 1), term: 1,
                        timestampMicroseconds: (Int64(number) + 1) * 1000,
                        payload: subject.command(number, partition)[...]))
                var next = states[number]
                next[at] = try await probes[at].snapshot()
                states.append(next)
            }
            return states
        }
    }
}
