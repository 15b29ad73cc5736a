/// A value that an option can have.
public enum OptionValue: Hashable, Sendable {
    case boolean(Bool)
    case integer(Int64)
    /// Bytes.
    case size(UInt64)
    /// Nanoseconds.
    case duration(UInt64)
    /// One of a closed set of words, any text, or a path.
    case text(String)
    case address(Endpoint)
    case addresses([Endpoint])
    case namedAddresses([NamedEndpoint])

    /// The value as a configuration file would state it.
    public var text: String {
        switch self {
        case .boolean(let value): value ? "yes" : "no"
        case .integer(let value): String(value)
        case .size(let bytes): Quantity.sizeText(bytes)
        case .duration(let nanoseconds): Quantity.durationText(nanoseconds)
        case .text(let text): text
        case .address(let endpoint): endpoint.description
        case .addresses(let endpoints): endpoints.map(\.description).joined(separator: ",")
        case .namedAddresses(let endpoints): endpoints.map(\.description).joined(separator: ",")
        }
    }
}

/// A host, by name or address, and a port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port`; an IPv6 address stands in brackets.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "[" || $0 == "]" }) else { return nil }
        self.init(host: String(host), port: port)
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Where somebody of a name is: `name=host:port`.
public struct NamedEndpoint: Hashable, Sendable, CustomStringConvertible {
    public var name: String
    public var endpoint: Endpoint

    public init(name: String, endpoint: Endpoint) {
        self.name = name
        self.endpoint = endpoint
    }

    /// Reads `name=host:port`.
    public init?(_ text: String) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex,
            let endpoint = Endpoint(String(text[text.index(after: equals)...]))
        else { return nil }
        let name = text[..<equals]
        guard !name.contains(where: \.isWhitespace) else { return nil }
        self.init(name: String(name), endpoint: endpoint)
    }

    public var description: String { "\(name)=\(endpoint)" }
}
