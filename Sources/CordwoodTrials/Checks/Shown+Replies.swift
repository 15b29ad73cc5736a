import CordwoodRESP

extension Ledger.Shown {
    /// The event map of a reply.
    init?(_ value: RESPValue) {
        guard case .map(let pairs) = value, let place = Ledger.Place(value) else { return nil }
        var found: (stream: String?, id: String?, payload: [UInt8]?)
        for pair in pairs {
            switch pair.key.text {
            case "stream_id": found.stream = pair.value.text
            case "event_id": found.id = pair.value.text
            case "payload": if case .bulk(let bytes) = pair.value { found.payload = bytes }
            default: break
            }
        }
        guard let streamID = found.stream, let eventID = found.id, let payload = found.payload else { return nil }
        self.init(place: place, streamID: streamID, eventID: eventID, payload: payload)
    }
}

extension Ledger.Place {
    /// What an event or the answer to an append says of its place.
    init?(_ value: RESPValue) {
        guard let partition = value["partition_id"]?.number, let sequence = value["partition_sequence"]?.number,
            let version = value["stream_version"]?.number
        else { return nil }
        self.init(partition: Int(partition), sequence: sequence, version: version)
    }
}

/// A page of EPSCAN.
struct ShownPage {
    var events: [Ledger.Shown]
    var hasMore: Bool

    init?(_ value: RESPValue) {
        guard case .boolean(let hasMore)? = value["has_more"], let elements = value["events"]?.elements else {
            return nil
        }
        events = elements.compactMap { Ledger.Shown($0) }
        guard events.count == elements.count else { return nil }
        self.hasMore = hasMore
    }
}
