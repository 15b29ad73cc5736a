import CordwoodOptions

/// What must hold between the options that say how a node comes into a group.
extension NodeOption {
    static let groupRules: [OptionTable.Rule] = [
        .init { options in
            guard options[peerAddress] == nil else { return nil }
            for name in ["cluster.founders", "cluster.join", "network.advertised-peer-address"] {
                guard let value = options.setting(name)?.value else { continue }
                return "\(name) = '\(value.text)' needs network.peer-address: members connect to each other"
            }
            return nil
        },
        .init { options in
            guard !options[clusterFounders].isEmpty, !options[clusterJoin].isEmpty else { return nil }
            return "cluster.join = '\(OptionValue.addresses(options[clusterJoin]).text)' contradicts "
                + "cluster.founders = '\(text(of: options[clusterFounders]))': a node founds a group or joins one"
        },
        .init { options in founderViolation(options[clusterFounders], options) },
        .init { options in
            guard let address = options[peerAddress], address.isWildcard else { return nil }
            if advertisedPeerAddress(options) != nil { return nil }
            return "network.peer-address = '\(address)' is nothing that others can connect to: "
                + "network.advertised-peer-address must say what they are told"
        },
        .init { options in
            guard let address = options[advertisedPeerAddress], address.isWildcard || address.port == 0 else {
                return nil
            }
            return "network.advertised-peer-address = '\(address)' is nothing that others can connect to"
        },
        .init { options in
            guard let address = options[advertisedClientAddress], address.isWildcard || address.port == 0 else {
                return nil
            }
            return "network.advertised-client-address = '\(address)' is nothing that clients can connect to"
        },
        .init { options in
            let electionNanoseconds = options[raftTick] * UInt64(options[raftElectionTicks])
            let replyNanoseconds = options[replyTimeout]
            if replyNanoseconds >= electionNanoseconds { return nil }
            return "limits.reply-timeout = '\(Quantity.durationText(replyNanoseconds))' must be at least an election "
                + "timeout, raft.tick times raft.election-ticks = '\(Quantity.durationText(electionNanoseconds))'"
        },
    ]

    private static func founderViolation(_ founders: [NamedEndpoint], _ options: OptionValues) -> String? {
        if founders.isEmpty { return nil }
        let stated = "cluster.founders = '\(text(of: founders))'"
        var names: Set<String> = []
        var addresses: Set<Endpoint> = []
        for founder in founders {
            if !names.insert(founder.name).inserted { return "\(stated) names '\(founder.name)' twice" }
            if !addresses.insert(founder.endpoint).inserted { return "\(stated) names \(founder.endpoint) twice" }
            if founder.endpoint.port == 0 || founder.endpoint.isWildcard {
                return "\(stated): \(founder.endpoint) is nothing that others can connect to"
            }
        }
        guard let own = founders.first(where: { $0.name == options[nodeName] }) else {
            return "\(stated) does not name node.name = '\(options[nodeName])'"
        }
        if let advertised = options[advertisedPeerAddress], advertised != own.endpoint {
            return "network.advertised-peer-address = '\(advertised)' contradicts \(stated)"
        }
        return nil
    }

    private static func text(of founders: [NamedEndpoint]) -> String { OptionValue.namedAddresses(founders).text }

    /// What other members are told to connect to, where it is not the address that is listened on.
    static func advertisedPeerAddress(_ options: OptionValues) -> Endpoint? {
        options[advertisedPeerAddress]
            ?? options[clusterFounders].first { $0.name == options[nodeName] }?.endpoint
    }
}

extension Endpoint {
    /// Stands for every address of the machine: one can listen there, and nobody can connect to it.
    var isWildcard: Bool { host == "0.0.0.0" || host == "::" }
}
