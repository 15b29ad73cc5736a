/// A backend in front of another one that does to its operations what a list of tamperings says.
final class TamperingBackend: IOBackend {
    /// How long a completion is kept back when no other one comes.
    private static let holdNanoseconds: UInt64 = 2_000_000

    private let backend: any IOBackend
    private let tamperings: [IOTampering]
    /// How many operations of its kind each tampering has seen.
    private var seen: [Int]
    /// What happens to operations under way when they complete.
    private var awaited: [OperationToken: IOTampering] = [:]
    private var answered: [Completion] = []
    private var held: [Completion] = []
    private var diesOnceSubmitted = false
    /// The last files that were written to, the latest first.
    private var written: [Int32] = []
    private let onTampering: @Sendable (IOTampering) -> Void

    /// `onTampering` hears of each tampering as its turn comes, before anything else happens.
    init(
        _ backend: any IOBackend, _ tamperings: [IOTampering],
        onTampering: @escaping @Sendable (IOTampering) -> Void = { _ in }
    ) {
        self.backend = backend
        self.tamperings = tamperings
        self.onTampering = onTampering
        seen = Array(repeating: 0, count: tamperings.count)
    }

    var kind: Platform.Backend { backend.kind }
    var wantsNonblockingSockets: Bool { backend.wantsNonblockingSockets }
    var counters: Platform.Counters { backend.counters }

    func start(_ operation: Operation, _ token: OperationToken) {
        noteFile(of: operation)
        guard let tampering = due(for: operation) else { return backend.start(operation, token) }
        onTampering(tampering)
        switch tampering.act {
        case .killBefore: IOTampering.killThisProcess()
        case .killSubmitted:
            backend.start(operation, token)
            diesOnceSubmitted = true
        case .killCompleted, .spoil, .hold:
            awaited[token] = tampering
            backend.start(operation, token)
        case .refuse: answered.append(Completion(token: token, result: -Int32(tampering.value)))
        case .drop: answered.append(Completion(token: token, result: operation.fullResult))
        case .shorten: backend.start(operation.halved, token)
        case .call: backend.start(operation, token)
        case .misfile: backend.start(operation.moved(to: written.count > 1 ? written[1] : nil), token)
        case .redirect: backend.start(operation.moved(by: UInt64(tampering.value)), token)
        }
    }

    func cancel(_ token: OperationToken, descriptor: Int32) { backend.cancel(token, descriptor: descriptor) }
    func forget(_ descriptor: Int32) { backend.forget(descriptor) }

    func submit() {
        backend.submit()
        if diesOnceSubmitted, kind == .posix { IOTampering.killThisProcess() }
    }

    func turn(waitNanoseconds: UInt64?, _ completions: inout [Completion]) {
        completions.append(contentsOf: answered)
        answered.removeAll()
        var limit = completions.isEmpty && !diesOnceSubmitted ? waitNanoseconds : 0
        if !held.isEmpty { limit = min(limit ?? .max, TamperingBackend.holdNanoseconds) }
        backend.turn(waitNanoseconds: limit, &completions)
        if diesOnceSubmitted { IOTampering.killThisProcess() }
        if completions.isEmpty {
            completions = held
            held.removeAll()
        }
    }

    func review(_ completions: inout [Completion]) {
        guard !awaited.isEmpty || !held.isEmpty else { return }
        var reviewed: [Completion] = []
        for var completion in completions {
            let tampering = awaited.removeValue(forKey: completion.token)
            switch tampering?.act {
            case .killCompleted: IOTampering.killThisProcess()
            case .spoil: completion.result = -Int32(tampering?.value ?? 0)
            case .hold:
                held.append(completion)
                continue
            default: break
            }
            reviewed.append(completion)
        }
        // Another one has overtaken what was held.
        if !reviewed.isEmpty {
            reviewed.append(contentsOf: held)
            held.removeAll()
        }
        completions = reviewed
    }

    func close() { backend.close() }

    private func noteFile(of operation: Operation) {
        switch operation {
        case .write(let descriptor, _, _, _, _):
            written.removeAll { $0 == descriptor }
            written.insert(descriptor, at: 0)
        case .close(let descriptor): written.removeAll { $0 == descriptor }
        default: break
        }
    }

    private func due(for operation: Operation) -> IOTampering? {
        var due: IOTampering?
        for (position, tampering) in tamperings.enumerated() where tampering.kind.counts(operation) {
            seen[position] += 1
            if (tampering.number..<tampering.number + tampering.count).contains(seen[position]) { due = tampering }
        }
        return due
    }
}

extension Operation {
    /// What the operation returns when it succeeds in full.
    fileprivate var fullResult: Int32 {
        switch self {
        case .write(_, _, let count, _, _), .read(_, _, let count, _): Int32(count)
        default: 0
        }
    }

    /// Half of it, cut where a kernel may cut it: past the page cache a write ends with a sector, and a read that does
    /// not meet the end of the file with a page.
    fileprivate var halved: Operation {
        func half(_ count: UInt32, _ unit: UInt32) -> UInt32 {
            count % 512 > 0 ? max(1, count / 2) : max(min(count, unit), count / 2 / unit * unit)
        }
        return switch self {
        case .write(let descriptor, let from, let count, let offset, let durable):
            .write(descriptor, from: from, count: half(count, 512), offset: offset, durable: durable)
        case .read(let descriptor, let into, let count, let offset):
            .read(descriptor, into: into, count: half(count, 4096), offset: offset)
        default: self
        }
    }

    fileprivate func moved(to other: Int32?) -> Operation {
        guard case .write(_, let from, let count, let offset, let durable) = self, let other else { return self }
        return .write(other, from: from, count: count, offset: offset, durable: durable)
    }

    fileprivate func moved(by bytes: UInt64) -> Operation {
        guard case .write(let descriptor, let from, let count, let offset, let durable) = self else { return self }
        let place = offset >= bytes ? offset - bytes : offset + bytes
        return .write(descriptor, from: from, count: count, offset: place, durable: durable)
    }
}
