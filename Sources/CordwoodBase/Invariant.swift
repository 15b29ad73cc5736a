/// Stops the process when a thing that must hold does not, in release builds too.
///
/// The message names the state that was seen. An invariant guards against our own mistakes only; what comes from
/// disk, network or user is checked by decoders that throw.
@inlinable
@inline(__always)
public func invariant(
    _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String,
    file: StaticString = #fileID, line: UInt = #line
) {
    if !condition() { brokenInvariant(message(), file: file, line: line) }
}

/// The end of a process that found itself in a state that cannot be.
@inlinable
@inline(never)
public func brokenInvariant(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    fatalError("broken invariant: " + message, file: file, line: line)
}
