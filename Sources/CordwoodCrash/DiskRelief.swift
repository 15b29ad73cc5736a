import CordwoodIO
import CordwoodLog
import Glibc

/// Makes room on a full disk in mid-run: removes the file that fills it once the store has turned down enough, or holds
/// back what it has taken.
final class DiskRelief {
    private static let refusals = 6
    private static let pollNanoseconds: UInt64 = 20_000_000
    private static let patienceNanoseconds: UInt64 = 10_000_000_000

    private let filler: String
    private let store: SegmentedLogStore
    private let seams: Seams
    private var refused = 0
    private var isFull = true
    private var isOver = false

    init(_ filler: String, _ store: SegmentedLogStore, _ seams: Seams) {
        self.filler = filler
        self.store = store
        self.seams = seams
        seams.scheduler.spawn("disk relief") { [self] in
            // What was taken and waits for room waits until there is some.
            while isFull, !isOver {
                await seams.clock.sleep(nanoseconds: DiskRelief.pollNanoseconds)
                if store.isWaitingForSpace { makeRoom() }
            }
        }
    }

    func noteRefusal() {
        refused += 1
        if refused == DiskRelief.refusals { makeRoom() }
    }

    private func makeRoom() {
        guard isFull else { return }
        isFull = false
        print("made room after \(refused) refusals")
        unlink(filler)
        store.prepareSpace()
    }

    /// With room again the store takes entries without being opened again.
    func expectToGoOn() async throws {
        isOver = true
        guard !isFull else { return }
        let end = seams.clock.monotonicNanoseconds + DiskRelief.patienceNanoseconds
        while store.isSpaceShort || store.isWaitingForSpace || !store.canAdmit(bytes: 4096) {
            guard seams.clock.monotonicNanoseconds < end else {
                throw CrashViolation("there is room on the disk again, and the store takes nothing")
            }
            store.prepareSpace()
            await seams.clock.sleep(nanoseconds: DiskRelief.pollNanoseconds)
        }
    }
}
