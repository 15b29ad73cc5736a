import CordwoodRESP

extension Ledger.Shown {
    /// The event map of a reply.
    init?(_ value: RESPValue) {
        guard case .map(let pairs) = value, let place = Ledger.Place(value) else { return nil }
        var found: (stream: String?, id: String?, transaction: String?, payload: [UInt8]?)
        for pair in pairs {
            switch pair.key.text {
            case "stream_id": found.stream = pair.value.text
            case "event_id": found.id = pair.value.text
            case "transaction_id": found.transaction = pair.value.text
            case "payload": if case .bulk(let bytes) = pair.value { found.payload = bytes }
            default: break
            }
        }
        guard let streamID = found.stream, let eventID = found.id, let transactionID = found.transaction,
            let payload = found.payload
        else { return nil }
        self.init(
            place: place, streamID: streamID, eventID: eventID, transactionID: transactionID, payload: payload)
    }
}

extension Ledger.Receipt {
    /// What the reply to EAPPEND or EMAPPEND says of each of its events; `nil` when it is neither.
    static func all(of reply: RESPValue) -> [Ledger.Receipt]? {
        if let place = Ledger.Place(reply), let eventID = reply["event_id"]?.text {
            return [Ledger.Receipt(place: place, eventID: eventID)]
        }
        guard let partition = reply["partition_id"]?.number, let first = reply["first_partition_sequence"]?.number,
            let last = reply["last_partition_sequence"]?.number, let events = reply["events"]?.elements,
            !events.isEmpty, last == first + UInt64(events.count) - 1
        else { return nil }
        let receipts = zip(first...last, events).compactMap { sequence, event -> Ledger.Receipt? in
            guard let eventID = event["event_id"]?.text, let streamID = event["stream_id"]?.text,
                let version = event["stream_version"]?.number
            else { return nil }
            return Ledger.Receipt(
                place: Ledger.Place(partition: Int(partition), sequence: sequence, version: version),
                eventID: eventID, streamID: streamID)
        }
        return receipts.count == events.count ? receipts : nil
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
