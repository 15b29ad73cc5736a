import CordwoodBase
import CordwoodMachine
import CordwoodRaft

/// Quorum rules beyond Raft's own: the leader alone hears all acknowledgements, so it tells the others how far the
/// partitions of such rules are confirmed, beside its heartbeats. For a majority commit says it all.
///
/// Form, little-endian: per partition its number (u32) and the index up to which it is confirmed (u64).
extension Node {
    /// What goes with the heartbeats of one tick; empty where commit decides. What has changed goes at once, and all of
    /// it now and then: a heartbeat may be lost.
    func confirmedNotice() -> [UInt8] {
        if configuration.quorum == .majority { return [] }
        if confirmedNotes.tick == maintenance.ticks { return confirmedNotes.notice }
        confirmedNotes.tick = maintenance.ticks
        confirmedNotes.notice = []
        if maintenance.ticks % ConfirmedNotes.ticksBetweenAll == 0 { confirmedNotes.told = [:] }
        for number in 0..<partitionCount {
            let partition = PartitionID(UInt64(number))
            guard let confirmed = dispatcher.progress(of: partition)?.confirmed, confirmed > 0,
                confirmedNotes.told[partition] != confirmed
            else { continue }
            confirmedNotes.told[partition] = confirmed
            confirmedNotes.notice.append(littleEndian: UInt32(number))
            confirmedNotes.notice.append(littleEndian: confirmed.rawValue)
        }
        return confirmedNotes.notice
    }

    func receivedConfirmed(_ notice: [UInt8]) {
        do throws(DecodeError) {
            let marks = try notice.decoded { (reader) throws(DecodeError) in
                var marks: [(PartitionID, PartitionLogIndex)] = []
                while reader.remaining > 0 {
                    let partition = PartitionID(UInt64(try reader.integer(UInt32.self)))
                    marks.append((partition, try reader.position()))
                }
                return marks
            }
            for (partition, index) in marks {
                do throws(DispatchError) { try dispatcher.recordConfirmed(partition, through: index) } catch {
                    warn("a confirmation of a partition that is not there", "\(error)")
                }
            }
        } catch { warn("a confirmation that cannot be read", "\(error)") }
    }

    private func warn(_ what: String, _ reason: String) {
        log.write(LogEvent(.warn, "peer", what, fields: [.init("reason", reason)]))
    }
}

/// What the leader has told of its partitions' confirmed indexes.
struct ConfirmedNotes {
    static let ticksBetweenAll: UInt64 = 20

    var told: [PartitionID: PartitionLogIndex] = [:]
    var tick: UInt64 = 0
    var notice: [UInt8] = []
}
