import CordwoodCrash

/// Flags whose values are all numbers from 0 on; the rest are plain words.
struct NumberOptions {
    private let flags: Flags

    /// `nil` when a flag is unknown, or its value is no such number.
    init?(_ arguments: [String], defaults: [String: Int]) {
        guard let flags = Flags(arguments, defaults: defaults.mapValues(String.init)),
            defaults.keys.allSatisfy({ flags.number($0) != nil })
        else { return nil }
        self.flags = flags
    }

    var words: [String] { flags.words }

    subscript(name: String) -> Int { flags.number(name) ?? 0 }
}
