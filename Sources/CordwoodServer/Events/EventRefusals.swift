import CordwoodBase
import CordwoodEvents
import CordwoodNode

/// Why an append did not take effect, in the codes and texts of the protocol.
extension CommandError {
    /// A proposal that never reached the log.
    init(rejection: ProposalRejection) {
        switch rejection {
        case .notLeader(nil): self.init(.clusterDown, "No raft leader")
        case .notLeader(let leader?):
            self.init(.notLeader, "Failed to proxy command: replica \(leader) leads no longer")
        case .admission(.noSpace(let partition, let needed, _)):
            self.init(.noSpace, "partition \(partition): no room on disk for \(needed) bytes")
        case .admission(let error): self.init(.tryAgain, "\(error)")
        case .busy(let reason): self.init(.tryAgain, reason)
        case .tooLarge(let bytes, let limit):
            self.init(.invalidArgument, "an entry of \(bytes) bytes: at most \(limit)")
        case .unknownPartition(let partition): self.init(.notFound, "partition \(partition) not found")
        case .frozen(let partition): self.init(.frozen, "partition \(partition) is frozen")
        case .relaxedDurability:
            self.init(
                .invalidArgument, "ACK BUFFERED needs relaxed durability, which a group of several voters forbids")
        case .unsyncedDurability: self.init(.invalidArgument, "ACK DURABLE needs durability.sync = yes")
        case .poisoned(let reason): self.init(.poisoned, reason)
        case .readOnly(let reason): self.init(.readOnly, "this node accepts no writes: \(reason)")
        case .closing: self.init(.shutdown, "the node is draining")
        case .forwarded(let rejection): self.init(forwarded: rejection)
        case .unreachable(let reason): self.init(.transport, reason)
        case .tooManyHops(let reason): self.init(.maxForwards, reason)
        case .circuitOpen(let milliseconds):
            self.init(.circuitOpen, "the leader cannot be reached from here, retry in \(milliseconds) ms")
        }
    }

    /// A command that the leader did not take.
    private init(forwarded rejection: ForwardRejection) {
        switch rejection.kind {
        case .notLeader: self.init(.clusterDown, "No raft leader")
        case .busy: self.init(.tryAgain, rejection.text)
        case .noSpace: self.init(.noSpace, rejection.text)
        case .frozen: self.init(.frozen, rejection.text)
        case .poisoned: self.init(.poisoned, rejection.text)
        case .readOnly: self.init(.readOnly, "the leader accepts no writes: \(rejection.text)")
        case .invalid: self.init(.invalidArgument, rejection.text)
        case .closing: self.init(.shutdown, rejection.text)
        }
    }

    /// A proposal whose outcome stays open.
    init(unknown reason: UnknownReason) {
        switch reason {
        case .storeFailed(let reason): self.init(.writeError, reason)
        case .frozen(let partition):
            self.init(.timeout, "not committed yet: partition \(partition) is frozen, the entry is in the log")
        case .closing: self.init(.timeout, "not committed yet: the node is draining")
        case .coveredBySnapshot: self.init(.timeout, "not committed yet: a snapshot was installed over the entry")
        case .timedOut: self.init(.timeout, "not committed yet: no quorum answered in time")
        case .noAnswer(let reason): self.init(.timeout, "no reply from leader: \(reason)")
        case .byLeader(let reason): self.init(.timeout, "not committed yet: \(reason)")
        }
    }

    /// A command that apply turned down.
    init(refusal: AppendRefusal, of append: PendingAppend) {
        switch refusal {
        case .wrongVersion(let position, let current):
            let subjects = AppendCommand.subjects(of: append.command)
            let subject = subjects.indices.contains(position) ? subjects[position] : nil
            let expected =
                switch subject?.expectedVersion {
                case .exactly(let version): "\(version)"
                case .empty: "empty"
                case .exists: "exists"
                case .any, nil: "any"
                }
            let streamID = (subject?.streamID ?? []).withUnsafeBytes { shown($0) }
            self.init(
                .wrongVersion,
                "current stream version is \(current.map { "\($0)" } ?? "empty") but expected \(expected) "
                    + "for partition key \(append.key) and stream id \(streamID)")
        case .eventIDUsed: self.init(.invalidArgument, "event id already used by another event")
        case .foreignEventID: self.init(.invalidArgument, "the event id must embed the partition hash")
        case .malformed: self.init(.refusedByMachine, "the command is malformed")
        case .partitionFull:
            self.init(.refusedByMachine, "partition \(append.partition) holds as many events as it can number")
        }
    }
}
