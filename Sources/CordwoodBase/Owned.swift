/// A value in memory of its own, which only its owner changes.
///
/// Like `FixedTable` it is held as a constant, so a class that holds one pays for no check of exclusive access with
/// each change; an append met fifty of them, a sixth of all its instructions. What the check guards against must be
/// plain to see instead: the value's methods end before anybody else has a turn, since they call nothing but each
/// other.
@frozen
public struct Owned<Value: ~Copyable>: ~Copyable {
    @usableFromInline
    let place: UnsafeMutablePointer<Value>

    @inlinable
    public init(_ value: consuming Value) {
        place = .allocate(capacity: 1)
        place.initialize(to: value)
    }

    @inlinable
    deinit {
        place.deinitialize(count: 1)
        place.deallocate()
    }

    @inlinable
    public var value: Value {
        @inline(__always)
        _read { yield place.pointee }
        @inline(__always)
        nonmutating _modify { yield &place.pointee }
    }
}
