import CordwoodBase
import CordwoodRaft

/// The content of a configuration entry: the change that the core makes, and what the group is to know of the members
/// that it names. Applied when it is handed out, so every replica comes to the same membership.
///
/// Stored form: the change, number of members (u16), and the members. The empty payload asks to leave joint consensus.
struct MembershipChange: Hashable {
    var change: ConfigurationChange
    /// Members that are new, or of which something is new: address, or the directory that has come for the id.
    var members: [Membership.Member]

    init(_ change: ConfigurationChange, members: [Membership.Member] = []) {
        self.change = change
        self.members = members
    }

    func encoded() -> [UInt8] {
        var bytes = change.encoded()
        bytes.append(littleEndian: UInt16(members.count))
        for member in members { member.encode(into: &bytes) }
        return bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        if bytes.isEmpty {
            self.init(.leaveJoint)
            return
        }
        self = try bytes.decoded { (reader) throws(DecodeError) in
            let change = try ConfigurationChange(from: &reader)
            var members: [Membership.Member] = []
            for _ in 0..<(try reader.integer(UInt16.self)) { members.append(try Membership.Member(from: &reader)) }
            return MembershipChange(change, members: members)
        }
    }
}
