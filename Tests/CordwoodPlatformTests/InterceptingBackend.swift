import Glibc

@testable import CordwoodPlatform

/// A backend in front of another one that changes what reaches it, or answers in its place, as a rule says.
final class InterceptingBackend: IOBackend {
    enum Answer {
        /// Passes this operation on.
        case pass(Operation)
        /// Completes at once with this result.
        case complete(Int32)
    }

    private let backend: any IOBackend
    private let rule: (Operation) -> Answer
    private var answered: [Completion] = []

    init(_ backend: any IOBackend, rule: @escaping (Operation) -> Answer) {
        self.backend = backend
        self.rule = rule
    }

    var kind: Platform.Backend { backend.kind }
    var wantsNonblockingSockets: Bool { backend.wantsNonblockingSockets }
    var counters: Platform.Counters { backend.counters }

    func start(_ operation: Operation, _ token: OperationToken) {
        switch rule(operation) {
        case .pass(let operation): backend.start(operation, token)
        case .complete(let result): answered.append(Completion(token: token, result: result))
        }
    }

    func cancel(_ token: OperationToken, descriptor: Int32) { backend.cancel(token, descriptor: descriptor) }
    func submit() { backend.submit() }
    func forget(_ descriptor: Int32) { backend.forget(descriptor) }

    func turn(waitNanoseconds: UInt64?, _ completions: inout [Completion]) {
        completions.append(contentsOf: answered)
        let limit: UInt64? = answered.isEmpty ? waitNanoseconds : 0
        answered.removeAll()
        backend.turn(waitNanoseconds: limit, &completions)
    }

    func close() { backend.close() }
}
