/// What a link does to what travels over it, in one direction.
///
/// It is TCP that travels: bytes are never missing, doubled or out of order. What a network does to packets shows as
/// time, and in the end as a connection that breaks.
public struct LinkCondition: Sendable, Hashable {
    /// How long bytes travel, in nanoseconds; `nil` is as long as anywhere.
    public var latencyNanoseconds: ClosedRange<UInt64>?
    /// What passes in a second, in bytes; `nil` is without limit. A link serves its connections in the order in which
    /// they send.
    public var bytesPerSecond: UInt64?
    /// Of a thousand sends so many are lost and sent again, and all that follows them waits.
    public var lossPermille: UInt64 = 0
    /// With so many of a thousand sends the connection breaks.
    public var resetPermille: UInt64 = 0
    /// Nothing passes. What is sent is tried again and again, at growing intervals, and passes at the first attempt
    /// after the link is whole.
    public var isCut = false

    public init() {}

    public static let cut: LinkCondition = {
        var condition = LinkCondition()
        condition.isCut = true
        return condition
    }()

    /// A link that needs so long, and so much longer at most.
    public static func slow(latencyNanoseconds: UInt64, jitterNanoseconds: UInt64 = 0) -> LinkCondition {
        var condition = LinkCondition()
        condition.latencyNanoseconds = latencyNanoseconds...latencyNanoseconds + jitterNanoseconds
        return condition
    }

    public static func narrow(bytesPerSecond: UInt64) -> LinkCondition {
        var condition = LinkCondition()
        condition.bytesPerSecond = bytesPerSecond
        return condition
    }

    public static func lossy(permille: UInt64) -> LinkCondition {
        var condition = LinkCondition()
        condition.lossPermille = permille
        return condition
    }

    public static func breaking(permille: UInt64) -> LinkCondition {
        var condition = LinkCondition()
        condition.resetPermille = permille
        return condition
    }
}
