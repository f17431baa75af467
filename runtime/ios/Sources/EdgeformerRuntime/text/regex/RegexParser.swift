private let largestGroupCount = 16
private let largestCount = 10_000
private let mostNodes = 20_000 // counted groups are written out
private let deepest = 32
private let longest = 1000 // characters; each set takes memory
private let endless = Int.max
private let foldedToOne = ["ss", "st", "ff", "fi", "fl"] // full case folding makes one character of these
private let longS: Int32 = 0x17f
private let kelvin: Int32 = 0x212a

private indirect enum Tree {
    case character(Int32)
    case set(CharacterSet)
    case sequence([Tree])
    case choice([Tree])
    case repetition(Tree, ClosedRange<Int>, Mode)
    case look(Tree, isNegative: Bool)
    case end(isLast: Bool)
}

/// The regular expressions that tokenizers use, in the syntax of Oniguruma. Throws UnknownSyntax.
///
/// Known: literals, . and classes (nested, ranges, \p{…}, \s \d \w and their opposites), groups, alternatives,
/// look-ahead, (?i:…) of ASCII letters, $ \z, and quantifiers, those without an upper limit on one character only: so
/// matching needs no deep recursion. All else is refused, also what can match nothing: tokenizers' offsets are odd
/// then.
func parseRegex(_ text: String) throws -> Pattern {
    if text.unicodeScalars.count > longest { throw UnknownSyntax("it is longer than \(longest) characters") }
    var parser = Parser(reader: PatternReader(text))
    let tree = try parser.parse()
    if canBeEmpty(tree) { throw UnknownSyntax("it can match nothing") }
    var builder = Builder()
    return try Pattern(try builder.build(tree, Node()))
}

private struct Parser {
    var reader: PatternReader
    private var ignoresCase = false
    private var depth = 0

    init(reader: PatternReader) {
        self.reader = reader
    }

    mutating func parse() throws -> Tree {
        let tree = try choice()
        if reader.next != nil { throw UnknownSyntax("a ')' too many") }
        return tree
    }

    private mutating func choice() throws -> Tree {
        depth += 1
        if depth > deepest { throw UnknownSyntax("groups nested more than \(deepest) deep") }
        var items = [try sequence()]
        while reader.takes("|") { items.append(try sequence()) }
        depth -= 1
        return items.count == 1 ? items[0] : .choice(items)
    }

    private mutating func sequence() throws -> Tree {
        var items: [Tree] = []
        var letters = ""
        while let next = reader.next, next != "|" && next != ")" {
            let isLetter = "a"..."z" ~= next || "A"..."Z" ~= next
            letters = ignoresCase && isLetter ? letters + next.properties.lowercaseMapping : ""
            if foldedToOne.contains(where: letters.hasSuffix) {
                throw UnknownSyntax("'\(letters)' without regard to case")
            }
            items.append(try quantified(try atom()))
        }
        return items.count == 1 ? items[0] : .sequence(items)
    }

    private mutating func atom() throws -> Tree {
        let character = try reader.take()
        switch character {
        case "(": return try group()
        case "[": return try set(try readClass(&reader))
        case ".": return try set(CharacterSet([0x0a]).inverted())
        case "$": return .end(isLast: false)
        case "\\": return reader.takes("z") ? .end(isLast: true) : try set(try readEscape(&reader))
        case "^", "*", "+", "?", "{": throw UnknownSyntax("'\(character)' at this place")
        default:
            let point = Int32(character.value)
            return ignoresCase ? try set(CharacterSet([point])) : .character(point)
        }
    }

    private func set(_ set: CharacterSet) throws -> Tree {
        .set(ignoresCase ? try withOtherCase(set) : set)
    }

    private mutating func group() throws -> Tree {
        let before = ignoresCase
        var isNegativeLook: Bool?
        if reader.takes("?") {
            if reader.takes("=") {
                isNegativeLook = false
            } else if reader.takes("!") {
                isNegativeLook = true
            } else if reader.takes("i:") {
                ignoresCase = true
            } else if !reader.takes(":") {
                throw UnknownSyntax("a group '(?\(reader.next.map(String.init) ?? "")'")
            }
        }
        let item = try choice()
        if !reader.takes(")") { throw UnknownSyntax("a ')' too few") }
        ignoresCase = before
        return isNegativeLook.map { .look(item, isNegative: $0) } ?? item
    }

    private mutating func quantified(_ atom: Tree) throws -> Tree {
        var tree = atom
        while true {
            let hasBraces = reader.next == "{"
            guard let counts = try counts() else { return tree }
            if hasBraces && counts.lowerBound == counts.upperBound && reader.next == "?" {
                throw UnknownSyntax("a '?' behind a count")
            }
            let mode: Mode = reader.takes("?") ? .lazy : !hasBraces && reader.takes("+") ? .possessive : .greedy
            switch tree {
            case .repetition: throw UnknownSyntax("a quantifier behind a quantifier")
            case .set, .character: break
            case _ where counts.upperBound > largestGroupCount || mode == .possessive:
                throw UnknownSyntax("a group repeated without limit")
            case .look, .end: throw UnknownSyntax("a repeated look-ahead")
            default: break
            }
            tree = .repetition(tree, counts, mode)
        }
    }

    /// nil where no quantifier comes next.
    private mutating func counts() throws -> ClosedRange<Int>? {
        if reader.takes("*") { return 0...endless }
        if reader.takes("+") { return 1...endless }
        if reader.takes("?") { return 0...1 }
        if !reader.takes("{") { return nil }
        let least = try count()
        let most = reader.takes(",") ? try count() : least
        if !reader.takes("}") || (least == nil && most == nil) || (least ?? 0) > (most ?? endless) {
            throw UnknownSyntax("a '{' that counts nothing")
        }
        return (least ?? 0)...(most ?? endless)
    }

    private mutating func count() throws -> Int? {
        var digits = ""
        while let next = reader.next, "0"..."9" ~= next { digits.unicodeScalars.append(try reader.take()) }
        if digits.isEmpty { return nil }
        guard let count = Int(digits), count <= largestCount else {
            throw UnknownSyntax("a count above \(largestCount)")
        }
        return count
    }
}

private struct Builder {
    private var nodes = 0

    /// The nodes of `tree`, followed by `next`.
    mutating func build(_ tree: Tree, _ next: Node) throws -> Node {
        nodes += 1
        if nodes > mostNodes { throw UnknownSyntax("too many repetitions") }
        switch tree {
        case .character(let character): return CharacterNode(character, next)
        case .set(let set): return OneNode(set, next)
        case .sequence(let items): return try items.reversed().reduce(next) { try build($1, $0) }
        case .choice(let items): return ChoiceNode(try items.map { try build($0, next) })
        case .look(let item, let isNegative):
            return LookAheadNode(try build(item, Node()), isNegative: isNegative, next)
        case .end(let isLast): return EndOfTextNode(isLast: isLast, next)
        case .repetition(.set(let set), let counts, let mode): return RepeatNode(set, counts, mode, next)
        case .repetition(.character(let character), let counts, let mode):
            return RepeatNode(CharacterSet([character]), counts, mode, next)
        case .repetition(let item, let counts, let mode):
            return try repeated(item, counts.lowerBound, counts.upperBound, mode, next)
        }
    }

    /// (…){1,3} as (…)((…)((…)|)|).
    private mutating func repeated(_ item: Tree, _ least: Int, _ most: Int, _ mode: Mode, _ next: Node) throws -> Node {
        if most == 0 { return next }
        let more = try build(item, try repeated(item, max(least - 1, 0), most - 1, mode, next))
        if least > 0 { return more }
        return ChoiceNode(mode == .lazy ? [next, more] : [more, next])
    }
}

private func canBeEmpty(_ tree: Tree) -> Bool {
    switch tree {
    case .character, .set: return false
    case .sequence(let items): return items.allSatisfy(canBeEmpty)
    case .choice(let items): return items.contains(where: canBeEmpty)
    case .repetition(let item, let counts, _): return counts.lowerBound == 0 || canBeEmpty(item)
    case .look, .end: return true
    }
}

/// Beside upper and lower case, ſ is an s and the Kelvin sign a k.
private func withOtherCase(_ set: CharacterSet) throws -> CharacterSet {
    var set = set
    for upper in Int32(UInt8(ascii: "A"))...Int32(UInt8(ascii: "Z")) {
        let further = upper == Int32(UInt8(ascii: "S")) ? [longS] : upper == Int32(UInt8(ascii: "K")) ? [kelvin] : []
        let cases = [upper, upper + 0x20] + further
        if cases.contains(where: set.contains) { cases.forEach { set.add($0) } }
    }
    var others = set
    others.remove(longS)
    others.remove(kelvin)
    if others.hasAny(from: 0x80) { throw UnknownSyntax("other characters than ASCII without regard to case") }
    return set
}
