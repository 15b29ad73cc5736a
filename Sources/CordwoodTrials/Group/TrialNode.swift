import CordwoodIO
import CordwoodProcesses

/// One place for a node: a name, a directory and addresses, and the process that runs there now, if one does.
final class TrialNode {
    /// How its next life begins.
    enum Entrance: Hashable {
        case founder
        case joining(as: String)
    }

    let name: String
    /// What the node may fill: the directory itself, or a small file system of its own.
    var directory: String
    /// Where it listens for its peers.
    let listens: SocketAddress
    /// Where its peers are told to find it: the proxy, where there is one.
    let advertised: SocketAddress
    let outputFile: String
    let logFile: String
    let traceFile: String

    var process: ChildProcess?
    /// Where clients find the present life, once it serves.
    var clientAddress: SocketAddress?
    var entrance: Entrance
    /// Counts the disks that it has had: another one is another replica.
    var disk = 1
    var lives = 0
    var isPaused = false
    /// Its disk has no space, or had none a moment ago: it may say so and end when it is started then.
    var hasFullDisk = false
    /// The trial ended the process itself, or means to; any other end is a violation.
    var mayEnd = false
    /// It belongs to the group, or is on its way into it.
    var isWanted: Bool

    init(
        name: String, place: Int, folder: String, network: String, entrance: Entrance, isWanted: Bool, isDirect: Bool
    ) {
        self.name = name
        directory = "\(folder)/\(name)"
        listens = SocketAddress(host: "\(network).\(1 + place)", port: 7479)
        advertised = isDirect ? listens : SocketAddress(host: "\(network).\(101 + place)", port: 7479)
        outputFile = "\(folder)/\(name).out"
        logFile = "\(folder)/\(name).log"
        traceFile = "\(folder)/\(name).trace"
        self.entrance = entrance
        self.isWanted = isWanted
    }

    /// How a node ends that cannot open its directory: the code for input and output.
    private static let unopened = ChildProcess.End.exited(74)

    /// It has ended because there was no space to begin with.
    var lacksSpace: Bool { hasFullDisk && process?.poll() == Self.unopened }

    var isRunning: Bool { process.map { $0.poll() == nil } ?? false }

    /// It runs, and its process is not stopped.
    var isAwake: Bool { isRunning && !isPaused }

    /// Looks for the line that the node prints when it serves.
    func lookForAddress() {
        guard clientAddress == nil, isRunning else { return }
        for line in TrialFiles.text(of: outputFile).split(separator: "\n") where line.hasPrefix("ready ") {
            guard let word = line.split(separator: " ").first(where: { $0.hasPrefix("client=") }),
                let colon = word.lastIndex(of: ":"), let port = UInt16(word[word.index(after: colon)...])
            else { continue }
            clientAddress = SocketAddress(host: "127.0.0.1", port: port)
        }
    }
}
