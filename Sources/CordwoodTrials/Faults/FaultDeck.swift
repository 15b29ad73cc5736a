import CordwoodIO
import CordwoodVirtual

/// Deals the faults of one lane like cards: each kind comes once before any comes again, in an order drawn from the
/// seed. So even a short run meets them all.
struct FaultDeck {
    private let kinds: [FaultKind]
    private var cards: [FaultKind] = []
    private let random: VirtualRandom

    init(_ kinds: [FaultKind], _ random: VirtualRandom) {
        self.kinds = kinds
        self.random = random
    }

    mutating func next() -> FaultKind? {
        if cards.isEmpty { cards = random.permutation(of: kinds) }
        return cards.popLast()
    }

    /// A kind that could not strike comes again behind the others.
    mutating func putBack(_ kind: FaultKind) { cards.insert(kind, at: 0) }
}

extension VirtualRandom {
    func permutation<Element>(of elements: [Element]) -> [Element] {
        var order = elements
        for last in order.indices.dropFirst().reversed() { order.swapAt(last, Int(next(below: UInt64(last + 1)))) }
        return order
    }

    func element<Element>(of elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[Int(next(below: UInt64(elements.count)))]
    }

    /// Seconds of the range, in steps of a millisecond.
    func seconds(_ range: ClosedRange<Double>) -> Double {
        Double(next(in: UInt64(range.lowerBound * 1000)...UInt64(range.upperBound * 1000))) / 1000
    }
}
