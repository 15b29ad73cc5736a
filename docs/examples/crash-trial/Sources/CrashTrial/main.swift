import Cordwood
import CordwoodCrash

// `crash-trial kill --cycles 1000`: kills processes that keep `Accounts`, and judges what each of them has left. The
// program starts itself again as the process that dies.
let names = ["ada", "ben", "cleo", "dan"]
CrashProgram(
    "crash-trial",
    [
        (
            "accounts",
            MachineSubject(
                command: { random in
                    let names = (names.randomElement(using: &random) ?? "", names.randomElement(using: &random) ?? "")
                    return Array("\(names.0) \(names.1) \(Int.random(in: 1...1000, using: &random))".utf8)
                },
                machine: { _ in .synchronous(Accounts()) })
        )
    ]
).main()
