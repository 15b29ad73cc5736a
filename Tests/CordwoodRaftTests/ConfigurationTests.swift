import CordwoodBase
import CordwoodRaft
import Testing

/// The algebra of configuration changes, and its stored form.
@Suite struct ConfigurationTests {
    private func check(_ table: PeerTable) {
        let configuration = table.configuration
        #expect(configuration.flaw == nil)
        let members = Set(configuration.voters + configuration.outgoing + configuration.learners)
        #expect(Set(table.peers.map(\.id)) == members)
        #expect(table.peers.map(\.id) == table.peers.map(\.id).sorted())
        for peer in table.peers {
            #expect(peer.progress.isLearner == configuration.learners.contains(peer.id))
            #expect(peer.isIncoming == configuration.voters.contains(peer.id))
            #expect(peer.isOutgoing == configuration.outgoing.contains(peer.id))
        }
        if !configuration.isJoint {
            #expect(configuration.learnersNext.isEmpty && !configuration.leavesAutomatically)
        }
    }

    /// One by one or all at once through joint consensus: the same configuration comes out.
    @Test(arguments: 0..<8)
    func theSimplePathAndTheJointPathMeet(block: UInt64) throws {
        var random = GroupRandom(seed: block)
        for _ in 0..<100 {
            var simple = PeerTable(window: InflightWindow(maxMessages: 10))
            try simple.applySimple([.addVoter(1)], lastIndex: 1)
            for _ in 0..<random.next() % 4 { try? simple.applySimple([step(&random)], lastIndex: 1) }
            var joint = simple
            var steps: [ConfigurationChange.Step] = []
            for _ in 0..<random.next() % 8 {
                let step = step(&random)
                if (try? simple.applySimple([step], lastIndex: 2)) != nil { steps.append(step) }
                check(simple)
            }
            try joint.enterJoint(steps, leavesAutomatically: random.chance(50), lastIndex: 2)
            check(joint)
            try joint.leaveJoint()
            check(joint)
            #expect(joint.configuration == simple.configuration, "\(steps)")
        }
    }

    private func step(_ random: inout GroupRandom) -> ConfigurationChange.Step {
        let id = ReplicaID(random.next() % 5 + 1)
        return [.addVoter(id), .addLearner(id), .remove(id), .update(id)][Int(random.next() % 4)]
    }

    @Test func atMostOneVoterChangesWithoutJointConsensus() throws {
        var table = PeerTable(
            configuration: GroupConfiguration(voters: [1, 2, 3]), lastIndex: 1, window: InflightWindow(maxMessages: 1))
        #expect(throws: ConfigurationError.severalVotersWithoutJoint) {
            try table.applySimple([.addVoter(4), .remove(1)], lastIndex: 1)
        }
        #expect(table.configuration.voters == [1, 2, 3])
    }

    @Test func aChangeComesBackFromItsStoredForm() throws {
        for change in [
            ConfigurationChange.leaveJoint, ConfigurationChange([.addVoter(1)]),
            ConfigurationChange([.addLearner(7), .remove(9), .update(2)], transition: .explicit),
            ConfigurationChange([], transition: .implicit),
        ] {
            #expect(try change.encoded().withUnsafeBytes { try ConfigurationChange(decoding: $0) } == change)
        }
        #expect(try ConfigurationChange(decoding: UnsafeRawBufferPointer(start: nil, count: 0)) == .leaveJoint)
    }

    @Test func damagedFormsAreErrors() throws {
        let bytes = ConfigurationChange([.addVoter(1), .remove(2)], transition: .implicit).encoded()
        for length in 1..<bytes.count {
            #expect(throws: DecodeError.self) {
                try bytes[..<length].withUnsafeBytes { try ConfigurationChange(decoding: $0) }
            }
        }
        for wrong in [[9, 0, 0], [0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1]] as [[UInt8]] {
            #expect(throws: DecodeError.self) { try wrong.withUnsafeBytes { try ConfigurationChange(decoding: $0) } }
        }
    }

    @Test func aConfigurationComesBackFromItsStoredFormAndAnImpossibleOneDoesNot() throws {
        func decoded(_ configuration: GroupConfiguration) throws -> GroupConfiguration {
            var bytes: [UInt8] = []
            configuration.encode(into: &bytes)
            return try bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try GroupConfiguration(from: &reader)
            }
        }
        let joint = GroupConfiguration(
            voters: [1, 4], outgoing: [1, 2, 3], learners: [9], learnersNext: [3], leavesAutomatically: true)
        #expect(try decoded(joint) == joint)
        for wrong in [
            GroupConfiguration(voters: [1, 1]), GroupConfiguration(voters: [0]), GroupConfiguration(learners: [1]),
            GroupConfiguration(voters: [1], learners: [1]), GroupConfiguration(voters: [1], leavesAutomatically: true),
            GroupConfiguration(voters: [1], learnersNext: [2]),
        ] {
            #expect(throws: DecodeError.self) { try decoded(wrong) }
        }
    }
}
