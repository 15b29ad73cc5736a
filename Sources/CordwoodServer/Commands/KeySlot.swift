/// The hash slot of a key, as cluster clients compute it: CRC16 (XMODEM) of the key, or of the part between its first
/// braces where that part is not empty, modulo 16384.
enum KeySlot {
    static let count = 16_384

    static func slot(of key: UnsafeRawBufferPointer) -> Int {
        if let open = key.firstIndex(of: UInt8(ascii: "{")),
            let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            return Int(checksum(UnsafeRawBufferPointer(rebasing: key[(open + 1)..<close]))) % count
        }
        return Int(checksum(key)) % count
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        var value: UInt16 = 0
        for byte in bytes {
            value ^= UInt16(byte) << 8
            for _ in 0..<8 { value = value & 0x8000 != 0 ? value << 1 ^ 0x1021 : value << 1 }
        }
        return value
    }
}
