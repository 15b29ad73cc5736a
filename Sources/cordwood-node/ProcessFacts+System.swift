import CordwoodServer
import Glibc

extension ProcessFacts {
    /// The facts of this process.
    static func current(version: String, configurationFile: String, ioBackend: String) -> ProcessFacts {
        var random = SystemRandomNumberGenerator()
        let runID = (0..<5).map { _ in hexadecimal(UInt32.random(in: 0 ... .max, using: &random)) }.joined()
        return ProcessFacts(
            version: version, processID: getpid(), executable: CommandLine.arguments.first ?? "",
            configurationFile: configurationFile, operatingSystem: operatingSystem(), ioBackend: ioBackend,
            runID: runID, memoryUse: memoryUse, processorUse: processorUse)
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func operatingSystem() -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "Linux" }
        return [text(of: name.sysname), text(of: name.release), text(of: name.machine)].joined(separator: " ")
    }

    private static func text<Characters>(of characters: Characters) -> String {
        withUnsafeBytes(of: characters) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static func usage() -> rusage {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage
    }

    private static func memoryUse() -> MemoryUse {
        let peak = UInt64(usage().ru_maxrss) * 1024
        return MemoryUse(residentBytes: residentBytes() ?? peak, peakResidentBytes: peak)
    }

    /// The second number of `/proc/self/statm`: resident pages.
    private static func residentBytes() -> UInt64? {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let text = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
            String(decoding: buffer.prefix(max(0, read(descriptor, buffer.baseAddress, buffer.count))), as: UTF8.self)
        }
        let numbers = text.split(separator: " ")
        guard numbers.count > 1, let pages = UInt64(numbers[1]) else { return nil }
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func processorUse() -> ProcessorUse {
        let usage = usage()
        return ProcessorUse(
            userMicroseconds: microseconds(usage.ru_utime), systemMicroseconds: microseconds(usage.ru_stime))
    }

    private static func microseconds(_ time: timeval) -> UInt64 {
        UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_usec)
    }
}
