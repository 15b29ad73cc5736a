internal import CLinux
internal import CordwoodIO
internal import Glibc

/// TCP of the machine, through whichever backend the loop has.
final class PlatformNetwork: Network {
    private static let backlog: Int32 = 1024

    private let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    func listen(_ address: SocketAddress) async throws(IOError) -> any Listener {
        var resolved = try await resolve(address, "listen")
        let descriptor = try openSocket(&resolved, "listen", address)
        var bound = clinux_address()
        var result = clinux_bind_and_listen(descriptor, &resolved, PlatformNetwork.backlog)
        if result == 0 { result = clinux_local_address(descriptor, &bound) }
        guard result == 0, let local = SocketAddress(bound) else {
            Glibc.close(descriptor)
            throw IOError(errorNumber: -result, operation: "listen", subject: address.description)
        }
        return PlatformListener(descriptor, local, loop)
    }

    func connect(_ address: SocketAddress, timeoutNanoseconds: UInt64?) async throws(IOError) -> any Connection {
        let deadline = timeoutNanoseconds.map { LoopClock.monotonicNanoseconds + $0 }
        var resolved = try await resolve(address, "connect")
        let descriptor = try openSocket(&resolved, "connect", address)
        let target = UnsafeMutablePointer<clinux_address>.allocate(capacity: 1)
        target.initialize(to: resolved)
        defer { target.deallocate() }
        var operation: OperationToken?
        var isLate = false
        let timer = deadline.map {
            loop.schedule(atNanoseconds: $0) { [loop] in
                isLate = true
                if let operation { loop.cancel(operation) }
            }
        }
        var result = await repeated {
            isLate ? -ECANCELED : await loop.perform(.connect(descriptor, target)) { operation = $0 }
        }
        if let timer { loop.cancel(timer) }
        if isLate, result == -ECANCELED {
            loop.closeSocket(descriptor)
            throw IOError(.timedOut, operation: "connect", subject: address.description)
        }
        if result == 0 { result = clinux_tune_connection(descriptor) }
        guard result == 0 else {
            loop.closeSocket(descriptor)
            throw IOError(errorNumber: -result, operation: "connect", subject: address.description)
        }
        return PlatformConnection(descriptor, address, loop)
    }

    private func openSocket(
        _ resolved: inout clinux_address, _ operation: String, _ address: SocketAddress
    ) throws(IOError) -> Int32 {
        let descriptor = clinux_socket(&resolved, loop.wantsNonblockingSockets ? 1 : 0)
        try check(descriptor, operation, address.description)
        return descriptor
    }

    private func resolve(_ address: SocketAddress, _ operation: String) async throws(IOError) -> clinux_address {
        var resolved = clinux_address()
        if clinux_parse_address(address.host, address.port, &resolved) == 0 { return resolved }
        let (result, found) = await loop.blocking.call {
            var found = clinux_address()
            return (clinux_resolve_address(address.host, address.port, &found), found)
        }
        try check(result, operation, address.description)
        return found
    }
}

extension SocketAddress {
    /// Nil for an address of a family that is neither IPv4 nor IPv6.
    init?(_ address: clinux_address) {
        var host: [CChar] = Array(repeating: 0, count: 64)
        let port = withUnsafePointer(to: address) { clinux_format_address($0, &host) }
        guard let port = UInt16(exactly: port) else { return nil }
        let bytes = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        self.init(host: String(decoding: bytes, as: UTF8.self), port: port)
    }
}
