internal import CLinux
internal import CUring
internal import CordwoodBase
internal import CordwoodIO
internal import Glibc

/// A connected socket. Closing cancels what is under way; the descriptor goes when the last operation has come back.
final class PlatformConnection: Connection {
    let peerAddress: SocketAddress

    private let loop: EventLoop
    /// -1 once closed and quiet.
    private var descriptor: Int32
    private var receiving: OperationToken?
    private var sending: OperationToken?
    private var isClosed = false
    /// The receive under way, if nobody awaits it.
    private var pending: PendingReceive?

    private struct PendingReceive {
        let buffer: IOBuffer
        let operation: Operation
        let receiver: any ConnectionReceiver

        init(buffer: IOBuffer, operation: Operation, _ receiver: any ConnectionReceiver) {
            self.buffer = buffer
            self.operation = operation
            self.receiver = receiver
        }
    }

    init(_ descriptor: Int32, _ peerAddress: SocketAddress, _ loop: EventLoop) {
        self.descriptor = descriptor
        self.peerAddress = peerAddress
        self.loop = loop
    }

    deinit {
        if descriptor >= 0 { loop.closeSocket(descriptor) }
    }

    func receive(into buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) -> Int {
        let (target, count) = place(for: range, of: buffer)
        while true {
            guard !isClosed else { throw closedError("receive") }
            let result = await loop.perform(.receive(descriptor, into: target, count: count)) { receiving = $0 }
            withExtendedLifetime(buffer) {}
            if let received = try received(result) { return received }
        }
    }

    func receive(into buffer: IOBuffer, _ range: Range<Int>, for receiver: any ConnectionReceiver) {
        let (target, count) = place(for: range, of: buffer)
        pending = PendingReceive(buffer: buffer, operation: .receive(descriptor, into: target, count: count), receiver)
        receiveForObserver()
    }

    private func receiveForObserver() {
        guard let operation = pending?.operation else { return }
        receiving = loop.perform(isClosed ? .none : operation, for: self)
    }

    private func place(for range: Range<Int>, of buffer: IOBuffer) -> (UnsafeMutableRawPointer, count: UInt32) {
        invariant(receiving == nil, "two receives at once from \(peerAddress)")
        guard let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[range]).baseAddress, !range.isEmpty
        else { brokenInvariant("receive of no bytes from \(peerAddress)") }
        return (target, UInt32(min(range.count, Int(CURING_MAX_IO_BYTES))))
    }

    /// The bytes that a receive gave; `nil` when it is to be tried again.
    private func received(_ result: Int32) throws(IOError) -> Int? {
        receiving = nil
        guard !isClosed else {
            closeWhenQuiet()
            throw closedError("receive")
        }
        if result == -EINTR || result == -EAGAIN { return nil }
        try check(result, "receive", peerAddress)
        return Int(result)
    }

    func sendAtOnce(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard sending == nil, !isClosed, let source = bytes.baseAddress, !bytes.isEmpty else { return 0 }
        return max(0, clinux_send(descriptor, source, UInt(min(bytes.count, Int(CURING_MAX_IO_BYTES)))))
    }

    func send(_ buffer: IOBuffer, _ range: Range<Int>) async throws(IOError) {
        invariant(sending == nil, "two sends at once to \(peerAddress)")
        var rest = buffer[range]
        while let source = rest.baseAddress, !rest.isEmpty {
            guard !isClosed else { throw closedError("send") }
            let count = UInt32(min(rest.count, Int(CURING_MAX_IO_BYTES)))
            let result = await loop.perform(.send(descriptor, from: source, count: count)) { sending = $0 }
            withExtendedLifetime(buffer) {}
            sending = nil
            guard !isClosed else {
                closeWhenQuiet()
                throw closedError("send")
            }
            if result == -EINTR || result == -EAGAIN { continue }
            try check(result, "send", peerAddress)
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(result)...])
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        // Tells the other side at once, whatever holds the descriptor a moment longer.
        shutdown(descriptor, Int32(SHUT_RDWR))
        if let receiving { loop.cancel(receiving) }
        if let sending { loop.cancel(sending) }
        closeWhenQuiet()
    }

    private func closeWhenQuiet() {
        guard receiving == nil, sending == nil, descriptor >= 0 else { return }
        loop.closeSocket(descriptor)
        descriptor = -1
    }

    private func check(_ result: Int32, _ operation: String, _ peer: SocketAddress) throws(IOError) {
        if result < 0 { throw IOError(errorNumber: -result, operation: operation, subject: peer.description) }
    }

    private func closedError(_ operation: String) -> IOError {
        IOError(.closed, operation: operation, subject: peerAddress.description)
    }
}

extension PlatformConnection: OperationObserver {
    func operationEnded(_ result: Int32) {
        let outcome: Result<Int, IOError>
        do throws(IOError) {
            guard let count = try received(result) else { return receiveForObserver() }
            outcome = .success(count)
        } catch { outcome = .failure(error) }
        let receiver = pending.take()?.receiver
        receiver?.received(outcome)
    }
}
