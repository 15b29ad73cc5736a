internal import CordwoodBase
internal import CordwoodRaft

/// The state of the segmented log behind one batch: what a carry record that follows it states.
struct StreamState {
    var vote = Vote.none
    var commitHint: RaftIndex = 0
    var boundary = LogBoundary.zero
    var last = LogBoundary.zero
    var gates: [GateRecord] = []
    var firstSegment: SegmentID = .none
    /// Where the newest complete checkpoint begins.
    var checkpoint: StreamPosition?

    func with(checkpoint: StreamPosition?) -> StreamState {
        var state = self
        state.checkpoint = checkpoint
        return state
    }
}
