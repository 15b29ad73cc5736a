import CordwoodBase

/// One way on which bytes that a process did not write itself get into it: from a disk, a peer, a client, an operator.
///
/// A driver is a pure function: bytes in, nothing out. It decodes them as the product does and checks what must hold
/// of any bytes: nothing traps; what was accepted means the same when it is written and read again; reading in pieces
/// gives what reading at once gives. The first byte picks the form, so that one corpus serves decoders that belong
/// together; forms called sealed put right the checksums first, since no mutation would find its way past those.
///
/// The tests replay `Fixtures/corpus` through the drivers, the fuzzer (`tools/fuzz`) looks for more.
struct DecoderDriver: Sendable {
    /// Names the driver and its folder of the corpus.
    let name: String
    /// What honest senders and files look like: accepted by the decoder, and where the fuzzer starts from.
    let samples: @Sendable () -> [[UInt8]]
    /// Stops the process when something does not hold.
    let run: @Sendable ([UInt8]) -> Void

    init(
        _ name: String, samples: @escaping @Sendable () -> [[UInt8]],
        forms: [@Sendable (ArraySlice<UInt8>) -> Void]
    ) {
        self.name = name
        self.samples = samples
        run = { bytes in
            guard let choice = bytes.first else { return }
            forms[Int(choice) % forms.count](bytes.dropFirst())
        }
    }

    static let all = logDrivers + machineDrivers + peerDrivers + clientDrivers + operatorDrivers

    static func named(_ name: String) -> DecoderDriver? { all.first { $0.name == name } }
}

/// What must hold of any bytes.
func demand(_ condition: @autoclosure () -> Bool, _ what: @autoclosure () -> String) {
    invariant(condition(), what())
}

/// Decodes; what is accepted must mean the same when it is encoded and decoded again.
func roundTrip<Value: Equatable>(
    _ bytes: ArraySlice<UInt8>, _ decode: ([UInt8]) throws -> Value, _ encode: (Value) -> [UInt8]
) {
    guard let value = try? decode([UInt8](bytes)) else { return }
    let encoded = encode(value)
    let again = try? decode(encoded)
    demand(again == value, "\(value) was read back as \(again.map { "\($0)" } ?? "nothing")")
}

/// Numbers that lengths and counts are tried with.
let nastyNumbers: [UInt64] = [
    0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, .max,
]

extension [UInt8] {
    /// The bytes in the form of that number.
    func form(_ number: UInt8) -> [UInt8] { [number] + self }
}

extension ArraySlice<UInt8> {
    /// Takes so many bytes off the front, zeros where there are none.
    mutating func takeFirst(_ count: Int) -> [UInt8] {
        let taken = [UInt8](prefix(count))
        self = dropFirst(count)
        return taken + [UInt8](repeating: 0, count: count - taken.count)
    }
}
