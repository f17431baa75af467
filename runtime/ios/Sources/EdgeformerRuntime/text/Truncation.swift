/// Which text of a pair loses tokens: the longer, the first, or the second alone.
enum Cut: Sendable { case longest, first, second }

/// How texts are cut: `maxLength` counts special tokens; `fromLeft`: a text loses its first tokens.
struct Truncation: Sendable {
    let maxLength: Int
    var cut = Cut.longest
    var fromLeft = false
}

/// How many tokens stay of texts that have `lengths`, where there is `room` for so many. Throws InputError where the
/// text that is to be cut isn't long enough, or isn't there.
func keptLengths(_ lengths: [Int], room: Int, cut: Cut) throws -> [Int] {
    let excess = lengths.reduce(0, +) - room
    if excess <= 0 { return lengths }
    if room == 0 { return lengths.map { _ in 0 } }
    if cut == .longest { return lengths.count == 2 ? longestFirst(lengths[0], lengths[1], room) : [room] }
    let (place, name) = cut == .first ? (0, "first") : (1, "second")
    if place >= lengths.count { throw InputError("text: the second text is to be cut, and there is none") }
    if lengths[place] <= excess {
        throw InputError("text: \(excess) tokens are too many, and the \(name) text has \(lengths[place])")
    }
    var kept = lengths
    kept[place] -= excess
    return kept
}

/// The shorter text stays whole where it takes at most half of the room; else both have half, the longer one the odd
/// token.
private func longestFirst(_ first: Int, _ second: Int, _ room: Int) -> [Int] {
    var shorter = min(first, second)
    var longer = shorter > room ? shorter : max(shorter, room - shorter)
    if shorter + longer > room {
        shorter = room / 2
        longer = room - shorter
    }
    return first > second ? [longer, shorter] : [shorter, longer]
}
