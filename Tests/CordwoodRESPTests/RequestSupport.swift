import CordwoodRESP

/// What a decoder made of a stream of bytes.
enum Decoded: Equatable {
    case request([String])
    case emptyArray
    case failed(ProtocolError.Reason)
}

/// Feeds `input` in pieces that end at `cuts`, keeping what is not consumed in front of what comes next, as a
/// connection does.
func decode(
    _ input: [UInt8], cuts: [Int] = [], limits: RequestLimits = .standard
) -> (found: [Decoded], left: Int) {
    var decoder = RequestDecoder(limits: limits)
    var found: [Decoded] = []
    var pending: [UInt8] = []
    var sent = 0
    for cut in cuts + [input.count] {
        pending += input[sent..<cut]
        sent = cut
        var start = 0
        pending.withUnsafeMutableBytes { buffer in
            decoding: while start < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
                switch decoder.decode(rest) {
                case .request(let byteCount):
                    let request = Request(bytes: UnsafeRawBufferPointer(rest), ranges: decoder.arguments)
                    found.append(.request((0..<request.count).map { request[$0].text }))
                    start += byteCount
                case .emptyArray(let byteCount):
                    found.append(.emptyArray)
                    start += byteCount
                case .blank(let byteCount):
                    start += byteCount
                case .incomplete(let needed):
                    precondition(needed > rest.count, "asked for \(needed) of \(rest.count) bytes")
                    break decoding
                case .failed(let error):
                    found.append(.failed(error.reason))
                    start = buffer.count
                    break decoding
                }
            }
        }
        pending.removeFirst(start)
        if case .failed = found.last { return (found, 0) }
    }
    return (found, pending.count)
}

func decode(_ text: String, limits: RequestLimits = .standard) -> [Decoded] {
    decode(Array(text.utf8), limits: limits).found
}

/// A small generator with a printed seed: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
