/// A table of plain values whose length never changes: per-partition state, above all.
///
/// Values are changed in place through a table that is itself a constant, so a class that holds one pays neither for a
/// check of exclusive access nor for one of unique ownership with each change. Positions are checked always.
@frozen
public struct FixedTable<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline
    let base: UnsafeMutablePointer<Element>
    public let count: Int

    @inlinable
    public init(repeating element: Element, count: Int) {
        invariant(count >= 0, "a table of \(count) elements")
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: element, count: count)
    }

    deinit { base.deallocate() }

    @inlinable
    public var indices: Range<Int> { 0..<count }

    @inlinable
    public subscript(position: Int) -> Element {
        @inline(__always)
        get {
            invariant(position >= 0 && position < count, "element \(position) of \(count)")
            return base[position]
        }
        @inline(__always)
        nonmutating _modify {
            invariant(position >= 0 && position < count, "element \(position) of \(count)")
            yield &base[position]
        }
    }
}
