/// What the process knows of itself and the engine must not ask for: the program gives it to the server, for INFO.
public struct ProcessFacts {
    public struct MemoryUse: Sendable {
        public var residentBytes: UInt64
        public var peakResidentBytes: UInt64

        public init(residentBytes: UInt64, peakResidentBytes: UInt64) {
            self.residentBytes = residentBytes
            self.peakResidentBytes = peakResidentBytes
        }
    }

    public struct ProcessorUse: Sendable {
        public var userMicroseconds: UInt64
        public var systemMicroseconds: UInt64

        public init(userMicroseconds: UInt64, systemMicroseconds: UInt64) {
            self.userMicroseconds = userMicroseconds
            self.systemMicroseconds = systemMicroseconds
        }
    }

    public var version: String
    public var processID: Int32
    public var executable: String
    public var configurationFile: String
    public var operatingSystem: String
    /// The I/O backend in use: `uring` or `posix`.
    public var ioBackend: String
    /// Drawn at every start.
    public var runID: String
    public var memoryUse: () -> MemoryUse
    public var processorUse: () -> ProcessorUse

    public init(
        version: String, processID: Int32, executable: String, configurationFile: String, operatingSystem: String,
        ioBackend: String, runID: String, memoryUse: @escaping () -> MemoryUse,
        processorUse: @escaping () -> ProcessorUse
    ) {
        self.version = version
        self.processID = processID
        self.executable = executable
        self.configurationFile = configurationFile
        self.operatingSystem = operatingSystem
        self.ioBackend = ioBackend
        self.runID = runID
        self.memoryUse = memoryUse
        self.processorUse = processorUse
    }
}
