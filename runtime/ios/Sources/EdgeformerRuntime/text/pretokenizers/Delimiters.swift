/// What becomes of delimiters. Of "the-final--countdown" at "-": removed the|final|countdown, isolated
/// the|-|final|-|-|countdown, mergedWithPrevious the-|final-|-|countdown, mergedWithNext the|-final|-|-countdown,
/// contiguous the|-|final|--|countdown.
enum Behavior: String, CaseIterable {
    case removed = "Removed", isolated = "Isolated", mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext", contiguous = "Contiguous"
}

/// Each character of `delimiters` is one.
func atCharacters(of delimiters: CharacterSet, _ behavior: Behavior) -> Cutter {
    { characters, from, to, take in
        var parts = Parts(behavior)
        var start = from
        for position in from..<to where delimiters.contains(characters[position]) {
            if start < position { parts.add(start, position, isDelimiter: false, take) }
            parts.add(position, position + 1, isDelimiter: true, take)
            start = position + 1
        }
        if start < to { parts.add(start, to, isDelimiter: false, take) }
        parts.finish(take)
    }
}

/// The delimiters are the matches of `pattern`; with `isInverted`, what lies between.
func atMatches(of pattern: Pattern, _ behavior: Behavior, isInverted: Bool) -> Cutter {
    { characters, from, to, take in
        var parts = Parts(behavior)
        var start = from
        try pattern.findAll(characters, from, to) { matchStart, matchEnd in
            if start < matchStart { parts.add(start, matchStart, isDelimiter: isInverted, take) }
            parts.add(matchStart, matchEnd, isDelimiter: !isInverted, take)
            start = matchEnd
        }
        if start < to { parts.add(start, to, isDelimiter: isInverted, take) }
        parts.finish(take)
    }
}

/// Puts neighbouring parts together as a behavior says; one part is held back, since the next may belong to it.
private struct Parts {
    private let behavior: Behavior
    private var held: (from: Int, to: Int, isDelimiter: Bool)?

    init(_ behavior: Behavior) {
        self.behavior = behavior
    }

    mutating func add(_ from: Int, _ to: Int, isDelimiter: Bool, _ take: Take) {
        switch behavior {
        case .isolated: take(from, to)
        case .removed: if !isDelimiter { take(from, to) }
        default:
            if let held, belongs(isDelimiter, behind: held.isDelimiter) {
                self.held = (held.from, to, isDelimiter)
            } else {
                finish(take)
                held = (from, to, isDelimiter)
            }
        }
    }

    mutating func finish(_ take: Take) {
        if let held { take(held.from, held.to) }
        held = nil
    }

    private func belongs(_ isDelimiter: Bool, behind wasDelimiter: Bool) -> Bool {
        switch behavior {
        case .contiguous: return isDelimiter == wasDelimiter
        case .mergedWithPrevious: return isDelimiter && !wasDelimiter
        default: return !isDelimiter && wasDelimiter
        }
    }
}
