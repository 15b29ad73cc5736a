internal import Glibc

/// Time that the processors spent for this process: unlike elapsed time, it says the same on a busy machine.
enum ProcessTime {
    static var nanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
