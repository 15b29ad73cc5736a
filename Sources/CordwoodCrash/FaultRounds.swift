import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual
import Glibc

/// Faults of single operations, as a kernel or a device may commit them: on a subject's real files, each case many
/// times at drawn operations. What must then hold is the case's own.
struct FaultRounds: Trial {
    static let summary = "lets single operations fail, fall short, go astray or come out of order"

    /// What a fault may lead to.
    enum Expectation {
        /// Nobody notices: it is asked again, completed, or put in order.
        case goesOn
        /// The store says that it has failed and acknowledges nothing more; opened again, all is there.
        case stops
        /// Where it has done harm, the harm is named, then or at the next opening, and never passes for data.
        case isNamed
    }

    struct Case: Sendable {
        var name: String
        var expectation: Expectation
        var ring = Platform.RingSize()
        var tamperings: @Sendable (VirtualRandom) -> [IOTampering]
    }

    /// What became of the rounds of one case.
    struct Tally {
        var lives = LifeTally()
        /// Rounds in which the fault came.
        var struck = 0
        /// Rounds in which the opening after it named the harm.
        var named = 0
    }

    private static let operations = 30

    static let cases: [Case] = [
        failing("a write fails with EIO", .refuse, .write, EIO),
        failing("a write is done and reports EIO", .spoil, .write, EIO),
        failing("a write fails with ENOSPC", .refuse, .write, ENOSPC),
        failing("a write is cancelled", .refuse, .write, ECANCELED),
        failing("a sync fails with EIO", .refuse, .sync, EIO),
        failing("a sync is done and reports EIO", .spoil, .sync, EIO),
        failing("an allocation fails with ENOSPC", .refuse, .allocate, ENOSPC),
        failing("a rename fails with EIO", .refuse, .rename, EIO),
        failing("a read fails with EIO", .refuse, .read, EIO),
        Case(name: "interruptions (EINTR)", expectation: .goesOn) { random in
            [.read, .write, .sync, .open].map {
                IOTampering(.refuse, $0, number: number(random, 10), count: 3, value: Int(EINTR))
            }
        },
        Case(name: "nothing to be had just now (EAGAIN)", expectation: .goesOn) { random in
            [.read, .write, .sync].map {
                IOTampering(.refuse, $0, number: number(random, 10), count: 3, value: Int(EAGAIN))
            }
        },
        Case(name: "short writes", expectation: .goesOn) { random in
            [IOTampering(.shorten, .write, number: number(random, 20), count: 20)]
        },
        Case(name: "short reads", expectation: .goesOn) { random in
            [IOTampering(.shorten, .read, number: number(random, 10), count: 20)]
        },
        Case(name: "completions out of order", expectation: .goesOn) { random in
            [IOTampering(.hold, .change, number: number(random, 4), count: 1000)]
        },
        Case(
            name: "rings of one and of two entries", expectation: .goesOn,
            ring: Platform.RingSize(submissions: 1, completions: 2)
        ) { _ in [IOTampering(.hold, .write, number: 1, count: 8)] },
        Case(name: "a write to the wrong place", expectation: .isNamed) { random in
            [IOTampering(.redirect, .write, number: number(random, 60), value: 4096 << number(random, 3))]
        },
        Case(name: "a write to the wrong file", expectation: .isNamed) { random in
            [IOTampering(.misfile, .write, number: number(random, 60))]
        },
        Case(name: "a write that is lost", expectation: .isNamed) { random in
            [IOTampering(.drop, .write, number: number(random, 60))]
        },
    ]

    private static func failing(
        _ name: String, _ act: IOTampering.Act, _ kind: IOTampering.Kind, _ errorNumber: Int32
    ) -> Case {
        Case(name: name, expectation: .stops) { random in
            let reach: UInt64 = kind == .write ? 50 : kind == .sync ? 12 : 6
            return [IOTampering(act, kind, number: number(random, reach), value: Int(errorNumber))]
        }
    }

    private static func number(_ random: VirtualRandom, _ highest: UInt64) -> Int {
        Int(random.next(in: 1...highest))
    }

    let options: TrialOptions
    private(set) var tallies: [Tally] = Array(repeating: Tally(), count: cases.count)

    init(_ options: TrialOptions) { self.options = options }

    var cyclesDone: Int { tallies[0].lives.lives }

    mutating func run() throws {
        _ = try options.eachCycle { round in
            for position in FaultRounds.cases.indices {
                let one = FaultRounds.cases[position]
                do {
                    try run(one, round, &tallies[position])
                } catch {
                    throw CrashViolation("\(one.name): \(error)")
                }
            }
        }
        for (one, tally) in zip(FaultRounds.cases, tallies) where tally.lives.lives >= 10 && tally.struck == 0 {
            throw CrashViolation("\(one.name): it never came in \(tally.lives.lives) rounds")
        }
    }

    private func run(_ one: Case, _ round: Int, _ tally: inout Tally) throws {
        let random = VirtualRandom(seed: options.seed, concern: "round \(round) of \(one.name)")
        let host = try WorkerHost(options.folder + "/round-\(round)")
        let past = options.worker(random.next() >> 1, operations: FaultRounds.operations)
        guard case .exited(0) = try host.run(past) else {
            throw CrashViolation("a life without faults failed: \(host.said)")
        }
        var struck = options.worker(random.next() >> 1, operations: FaultRounds.operations)
        struck.ring = one.ring
        struck.tamperings = one.tamperings(random)
        let end = try host.run(struck)
        let said = host.said
        try tally.lives.take(
            end, of: host, allowing: one.expectation == .goesOn ? .wentOn : [.wentOn, .stopped, .refused])
        if said.contains(CrashWorker.tampered) { tally.struck += 1 }
        let after = try host.run(options.worker(0))
        switch (CrashWorker.Outcome(after), one.expectation) {
        case (.done, _): break
        // A log that cannot be opened, or a partition that stands still and says why.
        case (.refused, .isNamed), (.storeFailed, .isNamed): tally.named += 1
        default: throw CrashViolation("the opening after it came to \(after): \(host.said)\nbefore it: \(said)")
        }
        try host.remove()
    }
}

extension FaultRounds {
    var table: String {
        var lines = ["  rounds  struck went on stopped refused   named"]
        for (one, tally) in zip(FaultRounds.cases, tallies) {
            let lives = tally.lives
            let numbers = [lives.lives, tally.struck, lives.wentOn, lives.stopped, lives.refused, tally.named]
            lines.append(
                numbers.map { String(repeating: " ", count: 8 - "\($0)".count) + "\($0)" }.joined() + "  " + one.name)
        }
        return lines.joined(separator: "\n")
    }
}
