import CordwoodCrash
import Foundation

let commands: [any Command.Type] = [
    RaftScenariosCommand.self, EnumerateCommand.self, DamageCommand.self, LogStoreCommand.self,
    SimulateCommand.self, ClusterCommand.self, FailoverCommand.self, CalmCommand.self, MutantsCommand.self,
]
let synopses = (commands.map { $0.synopsis } + CrashProgram.synopses).map { "  " + $0 }.joined(separator: "\n")
let usage = "usage: cordwood-crashtest COMMAND\n" + synopses

let arguments = Array(CommandLine.arguments.dropFirst())
if ["--help", "help"].contains(arguments.first) {
    print(usage)
    exit(0)
}
if let name = arguments.first, crashProgram.has(name) {
    exit(crashProgram.run(name, Array(arguments.dropFirst())))
}
guard let name = arguments.first, let command = commands.first(where: { $0.name == name }) else {
    complain(usage)
    exit(2)
}
exit(command.run(Array(arguments.dropFirst())))
