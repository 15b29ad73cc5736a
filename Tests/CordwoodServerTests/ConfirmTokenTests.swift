import Testing

@testable import CordwoodServer

@Suite("Confirm tokens") struct ConfirmTokenTests {
    private static let words = [Array("REMOVE".utf8), Array("c".utf8)]
    private static let other = [Array("REMOVE".utf8), Array("b".utf8)]

    private func failure(
        _ tokens: inout ConfirmTokens, _ token: String, words: [[UInt8]] = words, state: UInt64 = 7, at now: UInt64 = 1
    ) -> ErrorCode? {
        do throws(CommandError) {
            try tokens.redeem(token, words: words, state: state, nowNanoseconds: now)
            return nil
        } catch { return error.code }
    }

    @Test func aTokenWorksOnceForItsWords() {
        var tokens = ConfirmTokens()
        tokens.grant("t", words: Self.words, state: 7, nowNanoseconds: 0)
        #expect(failure(&tokens, "other") == .notFound)
        #expect(failure(&tokens, "t", words: Self.other) == .notFound)
        #expect(failure(&tokens, "t") == nil)
        #expect(failure(&tokens, "t") == .notFound)
    }

    @Test func aTokenDiesWithTheStateThatItsEffectWasToldOf() {
        var tokens = ConfirmTokens()
        tokens.grant("t", words: Self.words, state: 7, nowNanoseconds: 0)
        #expect(failure(&tokens, "t", state: 8) == .tryAgain)
        #expect(failure(&tokens, "t") == .notFound)
    }

    @Test func aTokenDiesOfAge() {
        var tokens = ConfirmTokens()
        tokens.grant("t", words: Self.words, state: 7, nowNanoseconds: 0)
        #expect(failure(&tokens, "t", at: 60_000_000_000) == .notFound)
    }

    @Test func theOldestGoesWhenThereAreTooMany() {
        var tokens = ConfirmTokens()
        for number in 0...64 { tokens.grant("t\(number)", words: Self.words, state: 7, nowNanoseconds: 0) }
        #expect(failure(&tokens, "t0") == .notFound)
        #expect(failure(&tokens, "t1") == nil)
    }
}
