private let hangul: Int32 = 0xac00
private let leading: Int32 = 0x1100
private let vowels: Int32 = 0x1161
private let trailing: Int32 = 0x11a7
private let syllables: Int32 = 19 * 21 * 28

/// What is known of each character: runtime/unicode_table, which is the same for every platform. Not called Unicode,
/// since Swift has one of its own. Each table is made when it is first asked for.
enum UnicodeTable {
    static let whitespace = set("whitespace")
    static let word = set("word")
    static let regexWord = set("regex_word")
    static let numeric = set("numeric")
    static let punctuation = set("punctuation")
    static let bertRemoved = set("bert_removed")
    static let bertChinese = set("bert_chinese")
    static let nonspacingMark = set("nonspacing_mark")
    static let combiningMark = set("combining_mark")
    static let graphemeExtend = set("grapheme_extend")
    static let graphemePrepend = set("grapheme_prepend")
    static let graphemeControl = set("grapheme_control")
    static let lowercase = map("lowercase")
    private static let compatible = map("compatible")
    private static let pairs = readPairs()
    private static let categories = runs("category")
    private static let combiningClasses: [UInt8] = {
        let marked = runs("combining_class").filter { $0.value != "0" }
        var classes = [UInt8](repeating: 0, count: Int(marked.last!.characters.upperBound))
        for (value, characters) in marked { for character in characters { classes[Int(character)] = UInt8(value)! } }
        return classes
    }()

    /// A character that is composed decomposes into what it is composed of, so only the others are in the table.
    private static let canonical: [Int32: [Int32]] = {
        var found = map("canonical")
        func expand(_ part: Int32) -> [Int32] {
            pairs.parts[part].map { expand($0.first) + expand($0.second) } ?? found[part] ?? [part]
        }
        for (character, parts) in pairs.parts.mapValues({ expand($0.first) + expand($0.second) }) {
            found[character] = parts
        }
        return found
    }()

    private static func items(_ name: String) -> [Substring] {
        for line in unicodeData.utf8.split(separator: UInt8(ascii: "\n")) where line.starts(with: (name + " ").utf8) {
            return line.split(separator: UInt8(ascii: " ")).dropFirst().map(Substring.init)
        }
        preconditionFailure("runtime/unicode_table has no line '\(name)'")
    }

    private static func number(_ digits: Substring) -> Int32 {
        Int32(digits, radix: 36)!
    }

    private static func map(_ name: String) -> [Int32: [Int32]] {
        var found: [Int32: [Int32]] = [:]
        var (character, target): (Int32, Int32) = (0, 0)
        for item in items(name) {
            let parts = item.utf8.split(separator: UInt8(ascii: ":"))
            character += number(Substring(parts[0]))
            found[character] = parts[1].split(separator: UInt8(ascii: ",")).map {
                target += number(Substring($0))
                return target
            }
        }
        return found
    }

    private static func runs(_ name: String) -> [(value: Substring, characters: Range<Int32>)] {
        let items = items(name)
        var start: Int32 = 0
        return stride(from: 0, to: items.count, by: 2).map { index in
            let end = start + number(items[index + 1])
            defer { start = end }
            return (items[index], start..<end)
        }
    }

    /// Sets are written as categories and the ranges that are in one of both alone.
    private static func set(_ name: String) -> CharacterSet {
        let items = items(name)
        var found = CharacterSet()
        if items[0] != "-" {
            for category in items[0].split(separator: "+") { found.add(categorySet(String(category))!) }
        }
        var end: Int32 = 0
        for index in stride(from: 1, to: items.count, by: 2) {
            let first = end + number(items[index])
            end = first + number(items[index + 1])
            found.toggle(first..<end)
        }
        return found
    }

    /// Two characters → what they make, and back.
    private static func readPairs() -> (composed: PairMap, parts: [Int32: (first: Int32, second: Int32)]) {
        let numbers = items("compose").map(number)
        var composed = PairMap(expected: numbers.count / 3)
        var parts: [Int32: (first: Int32, second: Int32)] = [:]
        var (character, first): (Int32, Int32) = (0, 0)
        for index in stride(from: 0, to: numbers.count, by: 3) {
            character += numbers[index]
            first += numbers[index + 1]
            composed.set(first, numbers[index + 2], character)
            parts[character] = (first, numbers[index + 2])
        }
        return (composed, parts)
    }

    /// Characters of a general category, "Lu", or of all that begin with a letter, "L"; nil where there is none.
    static func categorySet(_ name: String) -> CharacterSet? {
        let wanted = categories.filter { $0.value == name || $0.value.prefix(1) == name }
        if wanted.isEmpty { return nil }
        var found = CharacterSet()
        for (_, characters) in wanted { found.add(characters) }
        return found
    }

    static func combiningClass(_ character: Int32) -> UInt8 {
        character < combiningClasses.count ? combiningClasses[Int(character)] : 0
    }

    /// The full decomposition, or nil where the character stays as it is.
    static func decomposition(_ character: Int32, isCompatible: Bool) -> [Int32]? {
        let syllable = character - hangul
        if 0..<syllables ~= syllable {
            let parts = [leading + syllable / (21 * 28), vowels + syllable % (21 * 28) / 28]
            return syllable % 28 == 0 ? parts : parts + [trailing + syllable % 28]
        }
        return (isCompatible ? compatible[character] : nil) ?? canonical[character]
    }

    /// The character that two make together, or -1.
    static func compose(_ first: Int32, _ second: Int32) -> Int32 {
        let (lead, vowel) = (first - leading, second - vowels)
        if 0..<19 ~= lead && 0..<21 ~= vowel { return hangul + (lead * 21 + vowel) * 28 }
        let (syllable, trail) = (first - hangul, second - trailing)
        if 0..<syllables ~= syllable && syllable % 28 == 0 && 1..<28 ~= trail { return first + trail }
        return pairs.composed.value(first, second)
    }
}
