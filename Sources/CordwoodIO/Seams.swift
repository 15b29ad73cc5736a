/// The five doors between the engine and the world. What stands behind them is the platform in production and virtual
/// time, a faulty disk and a faulty network in tests; the code above cannot tell.
///
/// Seams belong to one serial loop: they are called, and they call back, on that loop alone. They are called per batch,
/// never per entry.
public struct Seams {
    public let clock: any Clock
    public let files: any FileSystem
    public let network: any Network
    public let random: any RandomSource
    public let scheduler: any Scheduler

    public init(
        clock: any Clock, files: any FileSystem, network: any Network, random: any RandomSource,
        scheduler: any Scheduler
    ) {
        self.clock = clock
        self.files = files
        self.network = network
        self.random = random
        self.scheduler = scheduler
    }
}
