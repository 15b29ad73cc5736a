import CordwoodConformance
import CordwoodVirtual
import Foundation

/// `enumerate`: cuts the power of a virtual machine at every I/O operation of each workload, and opens every state that
/// the cut may have left.
struct EnumerateCommand: Command {
    static let name = "enumerate"
    static let synopsis = """
        enumerate [--sector 0] [--exhaustive 12] [--states 64] [--recovery 11] [--seed 1] [--jobs 2] [WORKLOAD...]
                                                           cut the power at every I/O operation; --sector 512 or
                                                           4096, by default both
        """

    private struct Job {
        var workload: CrashWorkload
        var exploration: CrashExploration
        var label: String { "\(workload.name), sectors of \(exploration.disk.sectorBytes)" }
    }

    /// What the threads share.
    private struct Progress {
        var next = 0
        var running: Int
        var total = CrashExploration.Report()
        var failures = 0
    }

    /// 0 when nothing acknowledged was lost, 1 when a state was found in which something was, 2 for a wrong call.
    static func run(_ arguments: [String]) -> Int32 {
        let defaults = ["sector": 0, "exhaustive": 12, "states": 64, "recovery": 11, "seed": 1, "jobs": 2]
        guard let options = NumberOptions(arguments, defaults: defaults),
            [0, 512, 4096].contains(options["sector"]), options["recovery"] > 0, (1...64).contains(options["jobs"])
        else {
            complain("usage: cordwood-crashtest \(synopsis)")
            return 2
        }
        let all = CrashWorkload.standard + [CrashWorkload.catchUp, CrashWorkload.catchUpWithSnapshots]
        let chosen = all.filter { workload in
            options.words.isEmpty || options.words.contains { workload.name.contains($0) }
        }
        guard !chosen.isEmpty else {
            complain("no such workload; there are: " + all.map(\.name).joined(separator: ", "))
            return 2
        }
        let sectors = options["sector"] == 0 ? [512, 4096] : [options["sector"]]
        let jobs = sectors.flatMap { sector in
            chosen.map { workload in
                var exploration = CrashExploration()
                exploration.seed = UInt64(options["seed"])
                exploration.disk.sectorBytes = sector
                exploration.exhaustiveUnits = options["exhaustive"]
                exploration.sampledStates = options["states"]
                exploration.recoveryStride = options["recovery"]
                return Job(workload: workload, exploration: exploration)
            }
        }
        let began = Date()
        let progress = work(jobs, threads: options["jobs"])
        print("all: \(progress.total), in \(Int(Date().timeIntervalSince(began))) s")
        return progress.failures == 0 ? 0 : 1
    }

    /// Does the jobs on so many threads: each is a world of its own.
    private static func work(_ jobs: [Job], threads: Int) -> Progress {
        let condition = NSCondition()
        nonisolated(unsafe) var progress = Progress(running: threads)
        for _ in 0..<threads {
            let thread = Thread {
                condition.lock()
                while progress.next < jobs.count {
                    let job = jobs[progress.next]
                    progress.next += 1
                    condition.unlock()
                    let result = Result { try job.workload.explore(job.exploration) }
                    condition.lock()
                    switch result {
                    case .success(let report):
                        print("\(job.label): \(report)")
                        progress.total += report
                    case .failure(let failure):
                        print("FAIL \(job.label): \(failure)")
                        progress.failures += 1
                    }
                    fflush(nil)
                }
                progress.running -= 1
                condition.broadcast()
                condition.unlock()
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        condition.lock()
        defer { condition.unlock() }
        while progress.running > 0 { condition.wait() }
        return progress
    }
}
