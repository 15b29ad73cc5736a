import CordwoodBase

// Strings, ids and whole values in the node's own encodings: what members, operations and their answers are made of.

extension [UInt8] {
    /// A string: length (u16), UTF-8. What does not fit is cut off at the limit, which no name or address comes near.
    mutating func append(text: String) {
        let utf8 = text.utf8.prefix(Int(UInt16.max))
        append(littleEndian: UInt16(utf8.count))
        append(contentsOf: utf8)
    }

    mutating func append(_ id: UniqueID) {
        append(littleEndian: id.high)
        append(littleEndian: id.low)
    }

    /// Decodes all of these bytes as one value; bytes that are left over are an error.
    func decoded<Value>(_ body: (inout ByteReader) throws(DecodeError) -> Value) throws(DecodeError) -> Value {
        let result: Result<Value, DecodeError> = withUnsafeBytes { raw in
            do throws(DecodeError) {
                var reader = ByteReader(raw)
                let value = try body(&reader)
                guard reader.remaining == 0 else {
                    throw .invalid(field: "bytes after the value", value: UInt64(reader.remaining))
                }
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

extension ByteReader {
    mutating func text() throws(DecodeError) -> String {
        let length = Int(try integer(UInt16.self))
        let bytes = try take(length)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .invalid(field: "UTF-8 text of bytes", value: UInt64(length))
        }
        return text
    }
}
