private let stepsACharacter = 200
private let fewestSteps = 1_000_000
private let longestLiteral = 1000 // characters; each is a step of recursion
private let deepest = 1200 // nodes behind one another: a thread of an app may have a stack of 512 kB
private let lineFeed: Int32 = 0x0a

/// The text that is matched, and how much work is left: patterns that would take for ever end in an error.
struct Subject {
    let characters: [Int32]
    let end: Int
    fileprivate var steps: Int

    fileprivate mutating func spend(_ count: Int) throws {
        steps -= count
        if steps < 0 {
            throw InputError("text: a regular expression of the tokenizer takes too long on it: shorten it")
        }
    }
}

/// A compiled regular expression, or a plain string: nodes that each try to match from a position on and then what
/// follows.
struct Pattern {
    private let root: Node

    /// Throws UnknownSyntax where matching would need too deep a recursion.
    init(_ root: Node) throws {
        if root.depth > deepest { throw UnknownSyntax("more than \(deepest) parts in a row") }
        self.root = root
    }

    /// Calls `take` with the matches in characters[from … to-1], from the left, none overlapping.
    func findAll(_ characters: [Int32], _ from: Int, _ to: Int, _ take: Take) throws {
        var subject = Subject(characters: characters, end: to, steps: fewestSteps + stepsACharacter * (to - from))
        var position = from
        while position < to {
            let end = try root.match(&subject, position)
            if end > position {
                take(position, end)
                position = end
            } else {
                position += 1
            }
        }
    }
}

/// A part of a pattern, with all that follows it. By itself it is the end: of the whole pattern, or of what a
/// look-ahead looks for.
class Node {
    /// As many calls may be open at one time.
    let depth: Int

    init(following: [Node] = []) {
        depth = 1 + (following.map(\.depth).max() ?? 0)
    }

    /// Where the match ends that begins at `position`; -1 where there is none.
    func match(_ subject: inout Subject, _ position: Int) throws -> Int { position }
}

final class CharacterNode: Node {
    private let character: Int32
    private let next: Node

    init(_ character: Int32, _ next: Node) {
        self.character = character
        self.next = next
        super.init(following: [next])
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        if position >= subject.end || subject.characters[position] != character { return -1 }
        return try next.match(&subject, position + 1)
    }
}

/// One character of a set.
final class OneNode: Node {
    private let set: CharacterSet
    private let next: Node

    init(_ set: CharacterSet, _ next: Node) {
        self.set = set
        self.next = next
        super.init(following: [next])
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        if position >= subject.end || !set.contains(subject.characters[position]) { return -1 }
        return try next.match(&subject, position + 1)
    }
}

/// As many as can be, or as few, or as many and no going back.
enum Mode { case greedy, lazy, possessive }

/// So many characters of a set.
final class RepeatNode: Node {
    private let set: CharacterSet
    private let counts: ClosedRange<Int>
    private let mode: Mode
    private let next: Node

    init(_ set: CharacterSet, _ counts: ClosedRange<Int>, _ mode: Mode, _ next: Node) {
        self.set = set
        self.counts = counts
        self.mode = mode
        self.next = next
        super.init(following: [next])
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        let limit = counts.upperBound > subject.end - position ? subject.end : position + counts.upperBound
        if mode == .lazy { return try matchLazily(&subject, position, limit) }
        var end = position
        while end < limit && set.contains(subject.characters[end]) { end += 1 }
        try subject.spend(end - position)
        if end < position + counts.lowerBound { return -1 }
        let shortest = mode == .possessive ? end : position + counts.lowerBound
        while end >= shortest {
            let result = try next.match(&subject, end)
            if result != -1 { return result }
            try subject.spend(1)
            end -= 1
        }
        return -1
    }

    private func matchLazily(_ subject: inout Subject, _ position: Int, _ limit: Int) throws -> Int {
        for end in position...limit {
            if end - position >= counts.lowerBound {
                let result = try next.match(&subject, end)
                if result != -1 { return result }
            }
            try subject.spend(1)
            if end == limit || !set.contains(subject.characters[end]) { return -1 }
        }
        return -1
    }
}

/// The first of several branches that matches.
final class ChoiceNode: Node {
    private let branches: [Node]

    init(_ branches: [Node]) {
        self.branches = branches
        super.init(following: branches)
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        for branch in branches {
            let result = try branch.match(&subject, position)
            if result != -1 { return result }
        }
        return -1
    }
}

/// (?=…) and (?!…).
final class LookAheadNode: Node {
    private let inner: Node
    private let isNegative: Bool
    private let next: Node

    init(_ inner: Node, isNegative: Bool, _ next: Node) {
        self.inner = inner
        self.isNegative = isNegative
        self.next = next
        super.init(following: [inner, next])
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        let isThere = try inner.match(&subject, position) != -1
        return isThere == isNegative ? -1 : try next.match(&subject, position)
    }
}

/// $, as Ruby has it: at the end, or before a line feed. With `isLast`, \z: at the end alone.
final class EndOfTextNode: Node {
    private let isLast: Bool
    private let next: Node

    init(isLast: Bool, _ next: Node) {
        self.isLast = isLast
        self.next = next
        super.init(following: [next])
    }

    override func match(_ subject: inout Subject, _ position: Int) throws -> Int {
        let isEnd = position == subject.end || (!isLast && subject.characters[position] == lineFeed)
        return isEnd ? try next.match(&subject, position) : -1
    }
}

/// The field `pattern` of Replace and Split: {"String": …} or {"Regex": …}.
func readPattern(_ part: Part) throws -> Pattern {
    let pattern = try part.part("pattern")
    if pattern.has("String") {
        let literal = codePoints(try pattern.string("String"))
        if literal.isEmpty || literal.count > longestLiteral {
            throw pattern.unsupported("a string of \(literal.count) characters as a pattern")
        }
        return try Pattern(literal.reversed().reduce(Node()) { CharacterNode($1, $0) })
    }
    let text = try pattern.string("Regex")
    do {
        return try parseRegex(text)
    } catch let error as UnknownSyntax {
        throw pattern.unsupported("the regular expression '\(text.prefix(200))' isn't known: \(error.reason)")
    }
}
