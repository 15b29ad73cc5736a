/// What a request may cost before it is understood. Every limit is checked against the announced length, before memory
/// is taken for it.
public struct RequestLimits: Hashable, Sendable {
    /// Bytes of one request, framing included.
    public var maxFrameBytes: Int
    /// Bytes of one inline request, line end excluded.
    public var maxInlineBytes: Int
    /// Arguments of one request, the command's name included.
    public var maxArguments: Int
    /// True while the sender is unknown: only the wording of a refusal depends on it.
    public var isUnauthenticated: Bool

    /// The largest frame that the decoder can address; a larger limit is lowered to it.
    public static let largestFrameBytes = 1 << 30

    public init(maxFrameBytes: Int, maxInlineBytes: Int, maxArguments: Int, isUnauthenticated: Bool = false) {
        self.maxFrameBytes = min(max(maxFrameBytes, 64), RequestLimits.largestFrameBytes)
        self.maxInlineBytes = min(max(maxInlineBytes, 64), RequestLimits.largestFrameBytes)
        self.maxArguments = max(maxArguments, 1)
        self.isUnauthenticated = isUnauthenticated
    }

    /// The limits of a client that may do something: 4 MiB frames, 64 KiB lines.
    public static let standard = RequestLimits(
        maxFrameBytes: 4 << 20, maxInlineBytes: 64 << 10, maxArguments: 1 << 20)

    /// The limits of a client that has still to say who it is.
    public static let unauthenticated = RequestLimits(
        maxFrameBytes: 4 << 10, maxInlineBytes: 4 << 10, maxArguments: 10, isUnauthenticated: true)
}
