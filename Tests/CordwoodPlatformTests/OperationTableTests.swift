import Testing

@testable import CordwoodPlatform

@Suite("Operations under way")
struct OperationTableTests {
    @Test("A slot is used again under another name, and knows whether it can be cancelled")
    func names() async {
        var table = OperationTable()
        var names: Set<OperationToken> = []
        for round in 0..<100 {
            var token = OperationToken(bits: 0)
            let result = await withUnsafeContinuation { (waiter: UnsafeContinuation<Int32, Never>) in
                token = table.insert(.task(waiter), waitingDescriptor: round % 2 == 0 ? 7 : nil)
                #expect(table.count == 1)
                #expect(table.waitingDescriptor(token) == (round % 2 == 0 ? 7 : nil))
                #expect(table.waiting.count == (round % 2 == 0 ? 1 : 0))
                table.remove(token).end(Int32(round))
            }
            #expect(result == Int32(round))
            #expect(names.insert(token).inserted)
            #expect(token.slot == 0 && token.bits != 0 && table.waitingDescriptor(token) == nil)
        }
        #expect(table.count == 0)
    }

    @Test("A completion of something that is not under way stops the process")
    func staleCompletion() async {
        await #expect(processExitsWith: .failure) {
            var table = OperationTable()
            let result = await withUnsafeContinuation { (waiter: UnsafeContinuation<Int32, Never>) in
                let token = table.insert(.task(waiter), waitingDescriptor: nil)
                let owner = table.remove(token)
                _ = table.remove(token)
                owner.end(0)
            }
            print(result)
        }
    }
}
