internal import Glibc

/// One thing that goes wrong between the loop and the kernel: at which operation, and what.
///
/// For harnesses that put real files to the test. Whoever starts a platform with tamperings gets a backend with a
/// `TamperingBackend` in front of it; everybody else gets the backend alone, so that in production nothing asks.
package struct IOTampering: Hashable, Sendable, CustomStringConvertible {
    /// Which operations are counted.
    package enum Kind: String, CaseIterable, Sendable {
        /// Whatever may change what a disk holds.
        case change
        case write
        case sync
        case read
        case open
        case allocate
        case rename
        case unlink
    }

    /// What happens to the operation whose turn it is.
    package enum Act: String, CaseIterable, Sendable {
        /// The process is killed, and the kernel never hears of the operation.
        case killBefore = "kill-before"
        /// The process is killed as soon as the kernel has the operation.
        case killSubmitted = "kill-submitted"
        /// The process is killed when the operation has completed, and nobody has heard of it.
        case killCompleted = "kill-completed"
        /// The operation is not done, and completes with the error number `value`.
        case refuse
        /// The operation is done, and completes with the error number `value`.
        case spoil
        /// A write or read of half the bytes.
        case shorten
        /// A write goes `value` bytes below its place, or above it where there is no room below.
        case redirect
        /// A write goes to the file that another write went to before it.
        case misfile
        /// The operation is not done, and completes as though it had been.
        case drop
        /// Its completion is kept back until the next one has arrived, or a moment has passed.
        case hold
        /// Whoever started the platform is called, and the operation goes on.
        case call
    }

    package var act: Act
    package var kind: Kind
    /// Which operation of that kind, from 1.
    package var number: Int
    /// How many from there on.
    package var count: Int
    package var value: Int

    package init(_ act: Act, _ kind: Kind, number: Int, count: Int = 1, value: Int = 0) {
        self.act = act
        self.kind = kind
        self.number = number
        self.count = count
        self.value = value
    }

    /// `act,kind,number,count,value`, as `description` has it.
    package init?(_ text: String) {
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        guard words.count == 5, let act = Act(rawValue: String(words[0])), let kind = Kind(rawValue: String(words[1])),
            let number = Int(words[2]), let count = Int(words[3]), let value = Int(words[4])
        else { return nil }
        self.init(act, kind, number: number, count: count, value: value)
    }

    package var description: String { "\(act.rawValue),\(kind.rawValue),\(number),\(count),\(value)" }

    /// Ends this process as the kernel would: nothing is written down, nothing given back.
    package static func killThisProcess() -> Never {
        kill(getpid(), SIGKILL)
        while true { pause() }
    }
}

extension IOTampering.Kind {
    func counts(_ operation: Operation) -> Bool {
        switch (self, operation) {
        case (.write, .write), (.sync, .sync), (.read, .read), (.open, .open), (.allocate, .allocate),
            (.rename, .rename), (.unlink, .unlink):
            true
        case (.change, .open(_, let flags, _)): flags & O_CREAT != 0
        case (.change, .write), (.change, .sync), (.change, .allocate), (.change, .truncate), (.change, .rename),
            (.change, .unlink), (.change, .makeDirectory), (.change, .removeDirectory):
            true
        default: false
        }
    }
}
