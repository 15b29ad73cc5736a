internal import CLinux

/// What becomes of memory that the process has freed.
public enum FreedMemory {
    /// Keeps it for the next allocation instead of giving it back to the system: for programs that free and take the
    /// same again all the time, as one simulation after another does.
    public static func keep() { clinux_keep_freed_memory() }
}
