import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
import CordwoodRaft
import CordwoodVirtual
import Testing

@testable import CordwoodNode

@Suite("The forms in which snapshots travel")
struct CatchUpFormTests {
    @Test func aManifestReadsAsItWasWritten() throws {
        let manifest = try CatchUpFixture.make(snapshotsAt: 16).manifest
        #expect(try SnapshotManifest(decoding: manifest.encoded()) == manifest)
    }

    @Test func aDamagedManifestIsRefused() throws {
        let bytes = try CatchUpFixture.make(snapshotsAt: 16).manifest.encoded()
        for length in 0..<bytes.count {
            #expect(throws: DecodeError.self) { try SnapshotManifest(decoding: Array(bytes[..<length])) }
        }
        for at in bytes.indices {
            var damaged = bytes
            damaged[at] ^= 0x10
            #expect(throws: DecodeError.self) { try SnapshotManifest(decoding: damaged) }
        }
    }

    @Test func aDamagedRunOfRecordsIsRefused() throws {
        let fixture = try CatchUpFixture.make()
        let request = PieceRequest.log(0, from: 2, through: 4, maxBytes: 0)
        guard case .data(let bytes) = try fixture.answer(request.encoded()) else {
            Issue.record("no piece")
            return
        }
        let run = try PartitionExport(decoding: bytes)
        #expect(run.first == 2 && run.count >= 1)
        for length in 0..<bytes.count {
            #expect(throws: DecodeError.self) { try PartitionExport(decoding: Array(bytes[..<length])) }
        }
        for at in bytes.indices {
            var damaged = bytes
            damaged[at] ^= 0x04
            #expect(throws: DecodeError.self) { try PartitionExport(decoding: damaged) }
        }
    }

    @Test func requestsAndAnswersReadAsTheyWereWritten() throws {
        let requests: [PieceRequest] = [
            .log(65_535, from: 7, through: 9, maxBytes: 1 << 20), .snapshot(3, 12, offset: 1 << 40, maxBytes: 77),
            .failed(LogPosition(index: 12, term: 3)),
        ]
        for request in requests { #expect(try PieceRequest(decoding: request.encoded()) == request) }
        let answers: [PieceAnswer] = [.data([]), .data([1, 2, 3]), .gone, .notYet, .failed("why"), .noted]
        for answer in answers { #expect(try PieceAnswer(decoding: answer.encoded()) == answer) }
    }

    @Test func anyBytesAreAnsweredAndNoneIsTakenForWhatItIsNot() throws {
        let world = VirtualWorld(seed: 1)
        let random = world.random("bytes")
        try world.run { seams in
            let source = try await CatchUpSource.open(seams, events: 4)
            for _ in 0..<2_000 {
                let bytes = (0..<random.next(below: 48)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                let answer = try PieceAnswer(decoding: await source.source.serve(bytes, from: 2))
                guard case .failed = answer else {
                    Issue.record("\(bytes) was answered with \(answer)")
                    return
                }
                #expect(throws: DecodeError.self) { try PieceAnswer(decoding: bytes) }
            }
        }
    }
}
