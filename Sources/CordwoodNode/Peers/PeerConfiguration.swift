/// Limits and times of the peer transport.
public struct PeerConfiguration: Sendable, Hashable {
    /// Largest frame that is taken, in bytes. An append of one entry of the largest size must fit.
    public var maxFrameBytes = 72 << 20
    /// What one send carries at most, unless one frame is larger.
    public var sendBytes = 256 << 10
    /// What may wait for one connection, in bytes; beyond it appends are dropped and calls fail.
    public var queueBytes = 16 << 20
    /// Heartbeats, votes and answers that may wait for one peer beside that; beyond it the oldest is dropped.
    public var urgentMessages = 1024
    /// Calls of one peer that are being answered at a time, by number and by bytes of their requests; beyond it the
    /// connection is not read.
    public var callsInProgress = 4096
    public var callBytesInProgress = 32 << 20
    /// Accepted connections whose handshake is not done.
    public var strangers = 32
    /// Accepted connections behind their handshake.
    public var sessions = 256
    /// Those among them of nodes that dialled an address and not a member.
    public var guests = 16

    public var connectNanoseconds: UInt64 = 1_000_000_000
    public var handshakeNanoseconds: UInt64 = 2_000_000_000
    /// Pause after a failed attempt: it begins here, doubles each time, and half of it is drawn.
    public var backOffNanoseconds: UInt64 = 50_000_000
    public var maxBackOffNanoseconds: UInt64 = 500_000_000
    /// Pause after a peer has refused the handshake.
    public var refusedNanoseconds: UInt64 = 5_000_000_000
    /// How often a sign of life is sent on a connection with nothing else to send.
    public var aliveNanoseconds: UInt64 = 400_000_000
    /// A connection without a sign of life for so long is given up.
    public var silenceNanoseconds: UInt64 = 2_000_000_000
    /// A connection for calls that had none for so long is closed.
    public var idleNanoseconds: UInt64 = 60_000_000_000

    public init() {}
}
