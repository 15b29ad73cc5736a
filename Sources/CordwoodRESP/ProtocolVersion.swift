/// The two versions of the protocol that a connection can speak. A connection starts in the configured one, `resp2` by
/// default, and changes by HELLO.
public enum ProtocolVersion: Int, Sendable, Hashable, CaseIterable {
    case resp2 = 2
    case resp3 = 3
}
