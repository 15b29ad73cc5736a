import CordwoodCrash
import Foundation

let commands: [any Command.Type] = [
    RaftScenariosCommand.self, EnumerateCommand.self, DamageCommand.self, LogStoreCommand.self,
    SimulateCommand.self, ClusterCommand.self, FailoverCommand.self, CalmCommand.self, KillCommand.self,
]

let arguments = Array(CommandLine.arguments.dropFirst())
if let name = arguments.first, CrashProgram.isWorker(name) {
    exit(KillCommand.program.work(Array(arguments.dropFirst())))
}
guard let name = arguments.first, let command = commands.first(where: { $0.name == name }) else {
    complain("usage: cordwood-crashtest COMMAND\n" + commands.map { "  " + $0.synopsis }.joined(separator: "\n"))
    exit(2)
}
exit(command.run(Array(arguments.dropFirst())))
