import CordwoodBase
import CordwoodEvents
import CordwoodIO
import CordwoodNode
import CordwoodOptions
import CordwoodPlatform
import CordwoodRaft
import CordwoodServer
import Glibc

/// The program: makes the world, opens the node and the client port on it, and ends both when it is told to.
struct NodeProgram: Sendable {
    let options: OptionValues
    let environment: [String: String]

    private static let handledSignals = [SIGTERM, SIGINT]

    /// Returns when the node has ended, with the code that the process ends with.
    func run() -> ExitCode {
        do {
            Signals.ignoreBrokenPipes()
            try Signals.block(NodeProgram.handledSignals)
            let choice = Platform.Choice(rawValue: options[NodeOption.ioBackend].rawValue) ?? .auto
            let platform = try Platform.start(
                io: choice, pollLimitNanoseconds: options[NodeOption.ioPollLimit])
            let code = try platform.runToEnd { seams in await serve(on: seams, platform) }
            platform.shutdown()
            return code
        } catch {
            writeLine("cordwood-node: \(error)", to: 2)
            return .failure
        }
    }

    /// The file that options were read from, empty if there is none.
    private var configurationFile: String {
        for setting in options.settings { if case .file(let path, _) = setting.source { return path } }
        return ""
    }

    private func serve(on seams: Seams, _ platform: Platform) async -> ExitCode {
        let log = LogWriter(
            level: options[NodeOption.logLevel].level, isJSON: options[NodeOption.logFormat] == .json,
            hasPriority: environment["JOURNAL_STREAM"] != nil, clock: seams.clock)
        log.write(LogEvent(.info, "io", platform.backendDescription))
        let trace: TraceWriter?
        do throws(OptionError) { trace = try TraceWriter(options[NodeOption.consensusTrace]) } catch {
            log.write(LogEvent(.error, "node", "cannot write a trace", fields: [.init("reason", "\(error)")]))
            return .configuration
        }
        let node: Node
        do throws(NodeError) {
            node = try await Node.open(
                NodeConfiguration(options: options), machine: EventStore.machine, log: log,
                trace: trace.map { trace in { trace.write($0) } }, seams: seams)
        } catch {
            let failure = OpeningFailure(error)
            log.write(
                LogEvent(.error, "node", "cannot open the data directory", fields: [.init("reason", failure.text)]))
            return failure.code
        }
        let facts = ProcessFacts.current(
            version: version, configurationFile: configurationFile,
            ioBackend: platform.backend.rawValue)
        let server = Server(node: node, seams: seams, options: options, process: facts, log: log)
        server.onOptionChanged = { log.level = $0[NodeOption.logLevel].level }
        do throws(IOError) {
            try await server.open()
        } catch {
            log.write(LogEvent(.error, "client", "cannot listen", fields: [.init("reason", "\(error)")]))
            _ = await close(node, log)
            return .unavailable
        }
        guard let address = server.address else { return .unavailable }
        let peer = node.peerAddress.map { " peer=\($0)" } ?? ""
        writeLine("ready client=\(address)\(peer) pid=\(getpid()) io=\(platform.backend.rawValue)", to: 1)
        await end(seams, platform, server, log)
        await server.close()
        return await close(node, log)
    }

    private func close(_ node: Node, _ log: LogWriter) async -> ExitCode {
        do throws(LogError) {
            try await node.close()
            log.write(LogEvent(.info, "node", "closed"))
            return .success
        } catch {
            let failure = OpeningFailure(error)
            log.write(LogEvent(.error, "node", "not closed cleanly", fields: [.init("reason", failure.text)]))
            return failure.code
        }
    }

    /// Returns when a signal or a client asks the node to end. A second signal ends the process at once.
    private func end(_ seams: Seams, _ platform: Platform, _ server: Server, _ log: LogWriter) async {
        var waiter: UnsafeContinuation<Void, Never>?
        var isAsked = false
        func ask() {
            if isAsked { return }
            isAsked = true
            waiter?.resume()
        }
        server.onShutdownRequested = ask
        seams.scheduler.spawn("signals") {
            guard let signals = try? platform.signals(NodeProgram.handledSignals) else { return }
            while let signal = try? await signals.next() {
                if isAsked { exit(ExitCode.failure.rawValue) }
                log.write(LogEvent(.info, "node", "ending", fields: [LogEvent.Field("signal", "\(signal)")]))
                ask()
            }
        }
        await withUnsafeContinuation { continuation in
            if isAsked { continuation.resume() } else { waiter = continuation }
        }
    }
}
