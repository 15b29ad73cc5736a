import CordwoodBase
import CordwoodEvents
import Testing

@Suite("Identifiers and placement")
struct IdentifierTests {
    @Test("a UUID is written in lower case with hyphens and read in either case, with or without them")
    func textForms() throws {
        let uuid = try #require(UUID("219BD637-E279-53e9-9e2b-eabe5d9120cc"))
        #expect(uuid == UUID(high: 0x219b_d637_e279_53e9, low: 0x9e2b_eabe_5d91_20cc))
        #expect(uuid.description == "219bd637-e279-53e9-9e2b-eabe5d9120cc")
        #expect(UUID("219bd637e27953e99e2beabe5d9120cc") == uuid)
        #expect(UUID("219BD637E27953E99E2BEABE5D9120CC") == uuid)
    }

    @Test(
        "text that is no UUID is not read",
        arguments: [
            "", "2", "219bd637-e279-53e9-9e2b-eabe5d9120c", "219bd637-e279-53e9-9e2b-eabe5d9120ccc",
            "219bd637e-279-53e9-9e2b-eabe5d9120cc", "219bd637-e279-53e9-9e2b-eabe5d9120cg",
            "219bd637 e279 53e9 9e2b eabe5d9120cc", "219bd637e27953e99e2beabe5d9120c-",
            "{19bd637-e279-53e9-9e2b-eabe5d9120c}", "------------------------------------",
        ])
    func notText(_ text: String) { #expect(UUID(text) == nil) }

    @Test(
        "the default partition key is the version 5 UUID of the stream id",
        arguments: [
            ("user-123", "7e124fe8-fe28-5398-bb95-53973100148f"),
            ("order-1", "ed389b27-52a3-5d70-9099-7a11547b8e8c"),
            ("a", "a2e73803-4dc3-5882-8717-336918b4aa0b"),
            ("é", "af439dc8-3904-5687-b16c-39a99727406e"),
            (String(repeating: "x", count: 64), "916b3b98-c22c-56eb-8646-3702c79fe8a0"),
            (String(repeating: "k", count: 39), "64da72ea-d905-598c-be2e-16fcbede254a"),
            (String(repeating: "k", count: 40), "dd00d767-d384-5d9b-992f-9b96406621a8"),
            (String(repeating: "k", count: 47), "72b8ef6a-1ece-5c0a-bff6-3859d6c1fdc2"),
            (String(repeating: "k", count: 48), "1824ff26-9cad-5bc2-996b-df7c47d18c50"),
            (String(repeating: "k", count: 49), "55e68e04-9fb3-5434-a8c7-72738a410990"),
        ])
    func defaultKey(_ vector: (stream: String, key: String)) {
        #expect(PartitionKey(defaultFor: vector.stream).description == vector.key)
    }

    @Test(
        "the partition is the key's bits 61 to 46 modulo the partition count",
        arguments: [
            ("user-123", 61_013, 21, 13), ("order-1", 16_997, 5, 997), ("a", 7_260, 28, 260),
            ("stream", 42_067, 19, 67),
        ])
    func placement(_ vector: (stream: String, hash: UInt16, of32: UInt64, of1000: UInt64)) {
        let key = PartitionKey(defaultFor: vector.stream)
        #expect(key.hash.rawValue == vector.hash)
        #expect(key.partition(of: 32) == PartitionID(vector.of32))
        #expect(key.partition(of: 1000) == PartitionID(vector.of1000))
        #expect(key.partition(of: 65_536) == PartitionID(UInt64(vector.hash)))
        #expect(key.partition(of: 1) == 0)
    }

    @Test("an event id has milliseconds, version, variant, partition hash and random bits in their places")
    func eventIDLayout() {
        let random: UInt64 = 0xABC0_0000_0000_0000 | (1 << 46 - 1 - 5)
        let id = EventID(
            milliseconds: 0x0190_1234_5678, partitionHash: PartitionHash(rawValue: 61_013), random: random)
        #expect(id.description == "01901234-5678-abc7-bb95-7ffffffffffa")
        #expect(id.partitionHash.rawValue == 61_013)
        #expect(id.milliseconds == 0x0190_1234_5678)
        #expect(id.belongs(to: PartitionKey(defaultFor: "user-123")))
        #expect(!id.belongs(to: PartitionKey(defaultFor: "order-1")))
    }

    @Test("milliseconds and random bits beyond their width do not spill into other fields")
    func eventIDFieldsStayApart() {
        let id = EventID(milliseconds: .max, partitionHash: PartitionHash(rawValue: 0), random: .max)
        #expect(id.description == "ffffffff-ffff-fff7-8000-3fffffffffff")
    }

    @Test("the top bit of byte 8 of a transaction id marks a single event")
    func transactionIDs() throws {
        let id = EventID(try #require(UUID("01901234-5678-abc7-bb95-7ffffffffffa")))
        let single = TransactionID(firstEvent: id, eventCount: 1)
        #expect(single.isSingleEvent)
        #expect(single.uuid == id.uuid)
        let several = TransactionID(firstEvent: id, eventCount: 2)
        #expect(!several.isSingleEvent)
        #expect(several.description == "01901234-5678-abc7-3b95-7ffffffffffa")
    }
}
