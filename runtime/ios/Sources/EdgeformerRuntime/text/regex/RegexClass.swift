/// A pattern holds what this runtime doesn't know; the reason says what.
struct UnknownSyntax: Error {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }
}

/// What reads a pattern, character by character.
struct PatternReader {
    private let characters: [UnicodeScalar]
    private var position = 0

    init(_ text: String) {
        characters = Array(text.unicodeScalars)
    }

    /// The next character, not taken; nil at the end.
    var next: UnicodeScalar? { position < characters.count ? characters[position] : nil }

    mutating func take() throws -> UnicodeScalar {
        guard let next else { throw UnknownSyntax("it ends too early") }
        position += 1
        return next
    }

    /// Takes `text` if it comes next.
    mutating func takes(_ text: String) -> Bool {
        if !characters[position...].starts(with: text.unicodeScalars) { return false }
        position += text.unicodeScalars.count
        return true
    }
}

private let controls: [UnicodeScalar: Int32] = ["n": 0x0a, "r": 0x0d, "t": 0x09, "f": 0x0c, "v": 0x0b]

/// What follows a backslash, as a set.
func readEscape(_ reader: inout PatternReader) throws -> CharacterSet {
    let name = try reader.take()
    return try several(name, &reader) ?? CharacterSet([try one(name, &reader)])
}

/// Classes of characters, [^a-z\s[…]] and \p{L}: what follows "[", the closing bracket included.
func readClass(_ reader: inout PatternReader, depth: Int = 0) throws -> CharacterSet {
    if depth > 8 { throw UnknownSyntax("classes nested more than 8 deep") }
    let isInverted = reader.takes("^")
    var set = CharacterSet()
    if reader.next == "]" { throw UnknownSyntax("a class that begins with ']'") }
    while !reader.takes("]") {
        if reader.takes("&&") || reader.takes("[:") { throw UnknownSyntax("'&&' or '[:' in a class") }
        if reader.takes("[") {
            set.add(try readClass(&reader, depth: depth + 1))
            continue
        }
        guard let first = try readItem(&reader, &set) else { continue }
        if !reader.takes("-") {
            set.add(first)
        } else if reader.next == "]" {
            set.add(first)
            set.add(Int32(UInt8(ascii: "-")))
        } else {
            guard let last = try readItem(&reader, &set), last >= first else {
                throw UnknownSyntax("a range of characters that has no end")
            }
            set.add(first..<last + 1)
        }
    }
    return isInverted ? set.inverted() : set
}

/// One character of a class; nil where it was several, which are added to `set`.
private func readItem(_ reader: inout PatternReader, _ set: inout CharacterSet) throws -> Int32? {
    let character = try reader.take()
    if character != "\\" { return Int32(character.value) }
    let name = try reader.take()
    guard let several = try several(name, &reader) else { return try one(name, &reader) }
    set.add(several)
    return nil
}

private func several(_ name: UnicodeScalar, _ reader: inout PatternReader) throws -> CharacterSet? {
    switch name {
    case "s": return UnicodeTable.whitespace
    case "S": return UnicodeTable.whitespace.inverted()
    case "w": return UnicodeTable.regexWord
    case "W": return UnicodeTable.regexWord.inverted()
    case "d": return UnicodeTable.categorySet("Nd")
    case "D": return UnicodeTable.categorySet("Nd")?.inverted()
    case "p", "P": return try property(&reader, isInverted: name == "P")
    default: return nil
    }
}

private func property(_ reader: inout PatternReader, isInverted: Bool) throws -> CharacterSet {
    if !reader.takes("{") { throw UnknownSyntax("\\p without a category") }
    let isOpposite = reader.takes("^") != isInverted
    var name = ""
    while !reader.takes("}") { name.unicodeScalars.append(try reader.take()) }
    guard let set = UnicodeTable.categorySet(name) else { throw UnknownSyntax("\\p{\(name.prefix(30))}") }
    return isOpposite ? set.inverted() : set
}

private func one(_ name: UnicodeScalar, _ reader: inout PatternReader) throws -> Int32 {
    if let control = controls[name] { return control }
    if name == "x" { return try hexadecimal(&reader, count: reader.takes("{") ? nil : 2) }
    if name == "u" { return try hexadecimal(&reader, count: 4) }
    if "A"..."Z" ~= name || "a"..."z" ~= name || "0"..."9" ~= name { throw UnknownSyntax("\\\(name)") }
    return Int32(name.value)
}

/// A code point of so many digits, or of those before "}".
private func hexadecimal(_ reader: inout PatternReader, count: Int?) throws -> Int32 {
    var digits = ""
    while count.map({ digits.unicodeScalars.count < $0 }) ?? !reader.takes("}") {
        digits.unicodeScalars.append(try reader.take())
    }
    let isNumber = 1...6 ~= digits.utf8.count && digits.unicodeScalars.allSatisfy {
        "0"..."9" ~= $0 || "a"..."f" ~= $0 || "A"..."F" ~= $0
    }
    guard isNumber, let value = Int32(digits, radix: 16), value < codePointCount else {
        throw UnknownSyntax("\\x\(digits.prefix(10))")
    }
    return value
}
