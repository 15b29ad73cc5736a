import CordwoodBase
import CordwoodIO
import CordwoodLog
import CordwoodMachine
public import CordwoodRaft

extension Node {
    /// Drains and gives the directory back: what was proposed is written, committed and applied as far as the disk lets
    /// it, partitions are persisted, and a checkpoint is left so that the next start has nothing to do again. Whoever
    /// still waits then hears that the outcome is unknown. Idempotent.
    public func close() async throws(LogError) {
        guard !isClosing else { return }
        await handOver()
        guard !isClosing else { return }
        step(.endTurn)
        isClosing = true
        if let timer = maintenance.timer { seams.clock.cancel(timer) }
        relieve()
        await settleInstallation()
        await settleUpkeep()
        var failure = storeFailure
        do throws(LogError) {
            if failure == nil { try await store.flush() }
        } catch { failure = failure ?? error }
        await gate?.close()
        await machines.close()
        do throws(LogError) {
            try await partitionLogs.persistAll()
            if failure == nil { try await writeCheckpoint() }
        } catch { failure = failure ?? error }
        for waiter in proposals.takeAll() {
            waiter.observer.proposalEnded(tag: waiter.tag, outcome: .unknown(.closing))
        }
        failAllReads(.closing)
        for waiting in forwarder.takeAll() {
            waiting.observer.proposalEnded(tag: waiting.tag, outcome: .rejected(.closing))
        }
        changeWaiters.expire(at: .max)
        releaseReadinessWaiters()
        await peers?.close()
        await closeTransfers()
        await closeRepairs()
        do throws(LogError) { try await partitionLogs.close() } catch { failure = failure ?? error }
        do throws(LogError) { try await store.close() } catch { failure = failure ?? error }
        if let failure { throw failure }
    }
}
