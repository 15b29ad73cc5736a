import CordwoodBase
import CordwoodRESP

/// Tokens that an operator repeats a command with, having seen what it would do.
///
/// A token stands for one command with its arguments and for the state from which the effect was told. It works once,
/// for a while, and not when either has changed.
struct ConfirmTokens {
    static let lifetimeMilliseconds: UInt64 = 60_000
    /// Beyond so many, the oldest goes.
    private static let limit = 64

    private struct Grant {
        var token: String
        var words: [[UInt8]]
        var state: UInt64
        var expiryNanoseconds: UInt64
    }

    private var grants: [Grant] = []

    /// A token for the words of a command.
    ///
    /// - Parameters:
    ///   - token: drawn by the caller.
    ///   - state: a value that changes with what the effect was computed from.
    mutating func grant(_ token: String, words: [[UInt8]], state: UInt64, nowNanoseconds: UInt64) {
        grants.removeAll { $0.expiryNanoseconds <= nowNanoseconds }
        if grants.count == Self.limit { grants.removeFirst() }
        grants.append(
            Grant(
                token: token, words: words, state: state,
                expiryNanoseconds: nowNanoseconds + Self.lifetimeMilliseconds * 1_000_000))
    }

    /// Uses a token up. Throws when it is not one for these words, or when the state has changed meanwhile.
    mutating func redeem(
        _ token: String, words: [[UInt8]], state: UInt64, nowNanoseconds: UInt64
    ) throws(CommandError) {
        grants.removeAll { $0.expiryNanoseconds <= nowNanoseconds }
        guard let position = grants.firstIndex(where: { $0.token == token && $0.words == words }) else {
            throw CommandError(.notFound, "token not found: it stands for other words, was used, or is too old")
        }
        guard grants.remove(at: position).state == state else {
            throw CommandError(.tryAgain, "state changed")
        }
    }
}
