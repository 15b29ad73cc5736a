/// What values an option accepts: how they are written and within which bounds.
public enum OptionKind: Hashable, Sendable {
    case boolean
    case integer(ClosedRange<Int64>)
    /// Bytes.
    case size(ClosedRange<UInt64>)
    /// Nanoseconds.
    case duration(ClosedRange<UInt64>)
    case choice([String])
    case text
    case path
    case address
    /// One address at least, parted by commas.
    case addresses
    /// One `name=address` at least, parted by commas.
    case namedAddresses

    /// The value that `text` states, `nil` when it states none within the bounds.
    public func parse(_ text: String) -> OptionValue? {
        switch self {
        case .boolean: OptionKind.truth(text).map { .boolean($0) }
        case .integer(let range):
            Int64(text).flatMap { range.contains($0) && !text.hasPrefix("+") ? .integer($0) : nil }
        case .size(let range): Quantity.size(text).flatMap { range.contains($0) ? .size($0) : nil }
        case .duration(let range): Quantity.duration(text).flatMap { range.contains($0) ? .duration($0) : nil }
        case .choice(let words): words.contains(text) ? .text(text) : nil
        case .text: .text(text)
        case .path: text.isEmpty || text.utf8.contains(0) ? nil : .text(text)
        case .address: Endpoint(text).map { .address($0) }
        case .addresses: OptionKind.list(of: text, Endpoint.init).map { .addresses($0) }
        case .namedAddresses: OptionKind.list(of: text, NamedEndpoint.init).map { .namedAddresses($0) }
        }
    }

    /// What is between the commas, if all of it can be read.
    private static func list<Element>(of text: String, _ element: (String) -> Element?) -> [Element]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let elements = parts.compactMap { element(String($0)) }
        return elements.count == parts.count ? elements : nil
    }

    /// What is accepted, in words that finish "must be ...".
    public var range: String {
        switch self {
        case .boolean: "yes or no"
        case .integer(let range):
            OptionKind.bounds("\(range.lowerBound)", "\(range.upperBound)", range.upperBound == .max)
        case .size(let range):
            OptionKind.bounds(
                Quantity.sizeText(range.lowerBound), Quantity.sizeText(range.upperBound), range.upperBound == .max)
        case .duration(let range):
            OptionKind.bounds(
                Quantity.durationText(range.lowerBound), Quantity.durationText(range.upperBound),
                range.upperBound == .max)
        case .choice(let words): OptionKind.list(words)
        case .text: "text"
        case .path: "a path"
        case .address: "host:port"
        case .addresses: "host:port,..."
        case .namedAddresses: "name=host:port,..."
        }
    }

    /// What help texts call a value of this kind.
    var valueName: String {
        switch self {
        case .boolean: "yes|no"
        case .integer: "N"
        case .size: "SIZE"
        case .duration: "DURATION"
        case .choice(let words): words.joined(separator: "|")
        case .text: "TEXT"
        case .path: "PATH"
        case .address: "HOST:PORT"
        case .addresses: "HOST:PORT,..."
        case .namedAddresses: "NAME=HOST:PORT,..."
        }
    }

    static func truth(_ text: String) -> Bool? {
        switch text {
        case "yes", "true", "on": true
        case "no", "false", "off": false
        default: nil
        }
    }

    private static func bounds(_ low: String, _ high: String, _ isOpen: Bool) -> String {
        isOpen ? "at least \(low)" : "\(low) to \(high)"
    }

    private static func list(_ words: [String]) -> String {
        guard words.count > 1, let last = words.last else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}
