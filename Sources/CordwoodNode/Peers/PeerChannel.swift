import CordwoodBase
import CordwoodIO

/// A connection for calls to one peer, made when it is needed and closed when it is idle, and the calls that wait for
/// their answers.
///
/// After a failed attempt calls fail at once until the back-off is over: whoever calls a peer that is down learns it
/// without waiting.
final class PeerChannel {
    let peer: PeerAddress
    let kind: PeerConnectionKind

    private struct Call {
        var continuation: UnsafeContinuation<Result<[UInt8], PeerError>, Never>
        var timer: TimerToken
        /// Its frame has been handed to the connection.
        var isSent = false
    }

    private unowned let transport: PeerTransport
    private let outbox: PeerOutbox
    private var calls: [UInt64: Call] = [:]
    private var lastNumber: UInt64 = 0
    private var session: PeerSession?
    private var isRunning = false
    private var isClosed = false
    private var usedNanoseconds: UInt64 = 0
    private var failures = PeerFailures()
    /// Until when calls fail at once, and with what.
    private var broken: (untilNanoseconds: UInt64, error: PeerError)?

    init(_ peer: PeerAddress, _ kind: PeerConnectionKind, _ transport: PeerTransport) {
        self.peer = peer
        self.kind = kind
        self.transport = transport
        outbox = transport.makeOutbox()
        outbox.willSend = { [unowned self] in willSend($0) }
    }

    func call(
        _ service: PeerService, _ body: [UInt8], timeoutNanoseconds: UInt64
    ) async throws(PeerError) -> [UInt8] {
        if isClosed { throw .closed }
        let now = transport.clock.monotonicNanoseconds
        if let broken, now < broken.untilNanoseconds { throw broken.error }
        let limit = session?.maxBodyBytes ?? transport.configuration.maxFrameBytes
        let bytes = PeerFrame.callHeaderBytes + body.count
        if bytes > limit { throw .tooLarge(bytes: bytes, limit: limit) }
        lastNumber += 1
        let number = lastNumber
        guard outbox.append(.request(number: number, service: service.rawValue, body)) else { throw .busy }
        usedNanoseconds = now
        let result = await withUnsafeContinuation {
            (continuation: UnsafeContinuation<Result<[UInt8], PeerError>, Never>) in
            let timer = transport.clock.schedule(atNanoseconds: now + timeoutNanoseconds) { [weak self] in
                self?.timeOut(number)
            }
            calls[number] = Call(continuation: continuation, timer: timer)
            start()
        }
        return try result.get()
    }

    func watch(_ now: UInt64, _ configuration: PeerConfiguration) {
        if calls.isEmpty, now - usedNanoseconds > configuration.idleNanoseconds { session?.end("idle") }
    }

    /// Ends the channel. Calls that have not been sent fail with `error`.
    func close(_ error: PeerError) {
        isClosed = true
        let why = "the connection was closed here"
        session?.end(why)
        failAll { $0 ? .lost(why) : error }
    }

    // MARK: The connection

    private func start() {
        guard !isRunning else { return }
        isRunning = true
        transport.spawn("peer channel") { [self] in
            await run()
            isRunning = false
            // Calls that came while the last session was ending.
            if !calls.isEmpty { start() }
        }
    }

    private func run() async {
        do throws(PeerError) {
            let session = try await transport.dial(peer.address, kind, target: peer.replica, outbox)
            if isClosed { return session.end("no longer wanted") }
            self.session = session
            failures.reset()
            broken = nil
            transport.spawn("peer answers") { [self] in
                repeat {
                    while let frame = session.nextFrame() { take(frame, session) }
                } while await session.receive()
            }
            await session.write()
            self.session = nil
            let why = session.ending ?? ""
            failAll { $0 ? .lost(why) : .unreachable(why) }
        } catch {
            let nanoseconds = transport.pause(after: error, &failures, peer)
            broken = (transport.clock.monotonicNanoseconds + nanoseconds, error)
            failAll { _ in error }
        }
        outbox.removeAll()
    }

    private func willSend(_ item: PeerOutbox.Item) -> Bool {
        guard case .request(let number, _, _) = item.frame else { return true }
        guard calls[number] != nil else { return false }
        calls[number]?.isSent = true
        return true
    }

    private func take(_ frame: FrameReceiver.Frame, _ session: PeerSession) {
        do throws(DecodeError) {
            guard frame.kind == .answer, case .answer(let number, let answer) = try PeerFrame(.answer, body: frame.body)
            else { return session.end("a frame where none belongs") }
            switch answer {
            case .success(let body): finish(number, .success(body))
            case .refused(let code, let text): finish(number, .failure(.refused(code: code, text)))
            }
        } catch {
            session.end("malformed answer: \(error)")
        }
    }

    // MARK: Calls

    /// An answer to a call that has timed out meanwhile comes to nobody.
    private func finish(_ number: UInt64, _ result: Result<[UInt8], PeerError>) {
        guard let call = calls.removeValue(forKey: number) else { return }
        transport.clock.cancel(call.timer)
        call.continuation.resume(returning: result)
    }

    private func timeOut(_ number: UInt64) {
        guard let call = calls[number] else { return }
        finish(number, .failure(call.isSent ? .timedOut : .unreachable("no connection in time")))
    }

    /// Fails what waits, the oldest first.
    private func failAll(_ error: (_ isSent: Bool) -> PeerError) {
        for (number, call) in calls.sorted(by: { $0.key < $1.key }) { finish(number, .failure(error(call.isSent))) }
    }
}
