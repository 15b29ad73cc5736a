import CordwoodConformance

/// Runs the kits: on the machine `Stock`, and on a log store, for which the kit's own store in memory stands here.
@main
struct Program {
    static let stock = MachineSubject(
        make: { _ in .synchronous(Stock()) },
        command: { number, partition in
            let article = ["apples", "pears", "plums"][number % 3]
            return Array("\(article) \(number % 5 == 4 ? -3 : number + Int(partition.rawValue))".utf8)
        })

    static func main() async throws {
        for check in MachineConformance.checks {
            try await check.run(on: stock)
            print("machine: \(check)")
        }
        var exploration = CrashExploration()
        exploration.exhaustiveUnits = 2
        exploration.sampledStates = 2
        exploration.recoveryStride = 50
        exploration.sampledRecoveryStates = 1
        let crashes = try MachineConformance.crashWorkload(stock).explore(exploration)
        print("machine under power cuts: \(crashes.states) states, all as they must be")
        let damage = try MachineConformance.damage(stock, every: 401)
        print("machine under damage: \(damage.cases) cases, none silent")

        try examineLogStore()
    }

    /// Not `async`: the world is the loop of what runs in it.
    static func examineLogStore() throws {
        for check in LogStoreConformance.checks {
            for interruption in Interruption.allCases {
                let world = VirtualWorld(seed: 1)
                try world.run { seams in
                    try await check.run(on: InMemoryLogStoreFactory(random: seams.random), interruption: interruption)
                }
            }
            print("log store: \(check)")
        }
    }
}
