import CordwoodBase
import CordwoodMachine

/// A command of a session: add `value` to the partition's sum.
struct SessionCommand: Hashable {
    var call: SessionCall
    var value: UInt64

    var payload: [UInt8] { bytes(of: call.session) + bytes(of: call.sequence) + bytes(of: value) }

    init(_ session: UInt64, _ sequence: UInt64, adds value: UInt64) {
        call = SessionCall(session: session, sequence: sequence)
        self.value = value
    }

    init(payload: [UInt8]) {
        self.init(number(payload[0..<8]), number(payload[8..<16]), adds: number(payload[16..<24]))
    }
}

/// Why a command was not executed.
enum SessionRefusal: Hashable {
    /// The session was closed or had expired at the command's place in the log.
    case sessionNotOpen
    /// A later sequence of the session is finished already.
    case sequencePassed
    /// The sequence was used for another command.
    case anotherCommand
}

/// A partition's machine in small: it adds up, and keeps for each session the last command with its answer.
struct SessionLedger: Hashable {
    private struct Finished: Hashable {
        var command: SessionCommand
        var answer: UInt64
    }

    private(set) var sum: UInt64 = 0
    /// Every command that was executed, in order. Nothing may be in here twice.
    private(set) var executed: [SessionCommand] = []
    private var finished: [UInt64: Finished] = [:]

    init() {}

    mutating func apply(_ command: SessionCommand) -> Result<UInt64, Refused> {
        if let last = finished[command.call.session] {
            if command == last.command { return .success(last.answer) }
            if command.call == last.command.call { return .failure(Refused(reason: .anotherCommand)) }
            if command.call.sequence < last.command.call.sequence { return .failure(Refused(reason: .sequencePassed)) }
        }
        sum += command.value
        executed.append(command)
        finished[command.call.session] = Finished(command: command, answer: sum)
        return .success(sum)
    }

    struct Refused: Error, Hashable { var reason: SessionRefusal }

    // MARK: Snapshots

    /// Sum, then the executed commands, then the finished ones with their answers, ascending by session.
    func encoded() -> [UInt8] {
        var encoded = bytes(of: sum) + bytes(of: UInt64(executed.count))
        for command in executed { encoded += command.payload }
        for (_, last) in finished.sorted(by: { $0.key < $1.key }) {
            encoded += last.command.payload + bytes(of: last.answer)
        }
        return encoded
    }

    init(decoding encoded: [UInt8]) {
        var rest = encoded[...]
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        sum = number(take(8)[...])
        let count = number(take(8)[...])
        executed = (0..<count).map { _ in SessionCommand(payload: take(24)) }
        while !rest.isEmpty {
            let command = SessionCommand(payload: take(24))
            finished[command.call.session] = Finished(command: command, answer: number(take(8)[...]))
        }
    }
}
