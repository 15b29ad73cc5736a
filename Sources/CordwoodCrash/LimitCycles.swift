import CordwoodIO
import CordwoodPlatform
import CordwoodProcesses
import CordwoodVirtual
import Foundation
import Glibc

/// Processes that are denied what they need: descriptors, threads, memory, or the directory itself, which another
/// process holds.
///
/// Whatever such a process does, it may not lose what was acknowledged: it goes on, says what it lacks, or dies.
struct LimitCycles: Trial {
    static let summary = "too few descriptors, threads or bytes of memory, and a directory that is taken"

    private enum Limit: String, CaseIterable {
        case descriptors = "few descriptors"
        case threads = "few threads"
        case memory = "little memory"
        case twoProcesses = "a directory that another process holds"
    }

    let options: TrialOptions
    private(set) var cyclesDone = 0
    private var tallies: [Limit: LifeTally] = [:]
    /// Limits that cannot be set here, and why.
    private var skipped: [Limit: String] = [:]
    private var seconds = 0.0

    init(_ options: TrialOptions) { self.options = options }

    mutating func run() throws {
        seconds = try options.eachCycle { cycle in
            let limit = Limit.allCases[cycle % Limit.allCases.count]
            let random = VirtualRandom(seed: options.seed, concern: "limit of cycle \(cycle)")
            let host = try WorkerHost(options.folder + "/limited-\(cycle)")
            do {
                try run(limit, host, random)
            } catch let reason as Skipped {
                skipped[limit] = reason.description
            } catch {
                throw CrashViolation("\(limit.rawValue): \(error)")
            }
            try host.remove()
            cyclesDone += 1
        }
    }

    var table: String {
        var lines = ["  \(cyclesDone) cycles in \(Int(seconds)) s"]
        for limit in Limit.allCases {
            let tally = tallies[limit, default: LifeTally()]
            lines.append(
                skipped[limit].map { "  \(limit.rawValue): skipped: \($0)" }
                    ?? "  \(limit.rawValue): \(tally.lives) cycles; went on in \(tally.wentOn), refused in "
                    + "\(tally.refused + tally.stopped), died in \(tally.died)")
        }
        return lines.joined(separator: "\n")
    }

    private mutating func run(_ limit: Limit, _ host: WorkerHost, _ random: VirtualRandom) throws {
        guard case .exited(0) = try host.run(options.worker(random.next() >> 1, operations: 20)) else {
            throw CrashViolation("a life without limits failed: \(host.said)")
        }
        var limited = options.worker(random.next() >> 1, operations: 60)
        let end: ChildProcess.End
        switch limit {
        case .descriptors:
            limited.descriptors = Int(random.next(in: 4...40))
            end = try host.run(limited)
        case .threads:
            let group = try ControlGroup("pids", "pids.max", "\(random.next(in: 1...12))", host.folder)
            defer { group.remove() }
            limited.group = group.path
            end = try host.run(limited)
        case .memory:
            let bytes = random.next(in: 4...40) << 20
            let group = try ControlGroup("memory", "memory.limit_in_bytes", "\(bytes)", host.folder)
            defer { group.remove() }
            limited.group = group.path
            end = try host.run(limited)
        case .twoProcesses:
            limited.operations = 1_000_000
            let holder = try host.start(limited)
            try waitForLife(in: host)
            let second = try WorkerHost(host.folder + "/second", directory: host.directory)
            end = try second.run(options.worker(random.next() >> 1, operations: 1))
            holder.signal(SIGKILL)
            _ = holder.wait(seconds: 10)
            guard end == .exited(CrashWorker.Outcome.refused.rawValue), second.said.contains("lock") else {
                throw CrashViolation("a second process on the directory came to \(end): \(second.said)")
            }
        }
        try tallies[limit, default: LifeTally()]
            .take(end, of: host, allowing: [.wentOn, .stopped, .refused, .died])
        try host.expectSound(options.worker(0), "the opening without limits")
    }

    /// Waits until a process that was started lives on the directory.
    private func waitForLife(in host: WorkerHost) throws {
        for _ in 0..<3000 {
            if try Ledger(path: host.ledgerPath, isWatched: true).lives.count == 2 { return }
            usleep(10_000)
        }
        throw CrashViolation("a process did not begin its life: \(host.said)")
    }
}

/// A control group (version 1) of one controller with one limit.
private final class ControlGroup {
    let path: String

    init(_ controller: String, _ file: String, _ limit: String, _ folder: String) throws {
        let root = "/sys/fs/cgroup/\(controller)"
        guard access(root + "/tasks", W_OK) == 0 else {
            throw Skipped("the controller \(controller) of control groups cannot be used")
        }
        path = root + "/cordwood-crash-\(getpid())"
        mkdir(path, 0o700)
        do {
            try limit.write(toFile: "\(path)/\(file)", atomically: false, encoding: .utf8)
        } catch {
            remove()
            throw Skipped("the controller \(controller) of control groups takes no limit: \(error)")
        }
    }

    deinit { remove() }

    /// A process that has just ended may be in it for a moment.
    func remove() {
        for _ in 0..<100 {
            if rmdir(path) == 0 || errno == ENOENT { return }
            usleep(10_000)
        }
    }
}
