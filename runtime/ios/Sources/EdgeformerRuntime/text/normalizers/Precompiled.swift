import Foundation

private let longestCluster = 5 // bytes; a longer one is looked up character by character

/// The rules of a sentencepiece model, a double-array trie from bytes to replacements.
///
/// The charsmap is the size of the trie in bytes, little-endian; the trie's units of 32 bits; the replacements, each
/// ended by a zero byte.
struct Precompiled {
    private let units: [UInt32]
    private let replacements: [Int: [Int32]] // by the place of their value in the trie

    init(_ part: Part) throws {
        let key = "precompiled_charsmap"
        let text = try part.string(key)
        guard let bytes = Data(base64Encoded: text).map(Array.init) else { throw part.wrong(key, "base64", text) }
        func unit(_ place: Int) -> UInt32 {
            bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        let size = bytes.count < 4 ? 0 : Int(unit(0))
        if size < 4 || size > bytes.count - 4 { throw part.wrong(key, "a trie and replacements", text) }
        units = (0..<size / 4).map { unit(4 + 4 * $0) }
        guard let replacements = Self.readReplacements(bytes[(4 + 4 * units.count)...], units) else {
            throw part.wrong(key, "replacements in UTF-8", text)
        }
        self.replacements = replacements
    }

    func normalize(_ text: inout NormalizedText) {
        var changed = Changed(capacity: text.count)
        var isModified = false
        func replace(_ from: Int, _ to: Int) -> Bool {
            guard let replacement = find(text.characters[from..<to]) else { return false }
            isModified = true
            changed.write(replacement, insteadOf: to - from)
            return true
        }
        var from = 0
        while from < text.count {
            let to = clusterEnd(text.characters, from)
            let isShort = to - from > 1
                && text.characters[from..<to].reduce(0) { $0 + utf8Length($1) } <= longestCluster
            if !isShort || !replace(from, to) {
                for index in from..<to where !replace(index, index + 1) { changed.add(text.characters[index], 0) }
            }
            from = to
        }
        if isModified { text.change(changed.characters, changes: changed.changes) }
    }

    /// The replacement of the shortest key that `characters` begin with; nil where there is none.
    private func find(_ characters: Characters) -> [Int32]? {
        var node = offset(units[0])
        var found: [Int32]?
        var isOver = false
        for character in characters where !isOver {
            utf8Bytes(character) { byte in
                if isOver { return }
                node ^= byte
                let unit = node < units.count ? units[node] : 0
                if byte == 0 || unit & ~0x7fff_ff00 != byte {
                    isOver = true
                    return
                }
                node ^= offset(unit)
                if unit >> 8 & 1 == 1 {
                    found = replacements[node]
                    isOver = true
                }
            }
        }
        return found
    }

    /// nil where they are no UTF-8.
    private static func readReplacements(_ bytes: ArraySlice<UInt8>, _ units: [UInt32]) -> [Int: [Int32]]? {
        var read: [Int: [Int32]] = [:] // by their place in `bytes`
        var found: [Int: [Int32]] = [:]
        for (node, unit) in units.enumerated() where unit >> 8 & 1 == 1 {
            let leaf = node ^ offset(unit)
            if leaf >= units.count { continue }
            let place = Int(units[leaf] & 0x7fff_ffff)
            if place >= bytes.count { continue }
            if read[place] == nil {
                guard let points = codePoints(utf8: bytes.dropFirst(place).prefix { $0 != 0 }) else { return nil }
                read[place] = points
            }
            found[leaf] = read[place]
        }
        return found
    }
}

/// Where the children of a unit's node stand, relative to it.
private func offset(_ unit: UInt32) -> Int {
    Int(unit >> 10) << Int((unit & 0x200) >> 6)
}

extension Changed {
    /// Writes `replacement` instead of `count` characters. Where it is shorter, what falls away is told to the
    /// character before it, and at the very beginning to none: so `tokenizers` does, and offsets move by that.
    fileprivate mutating func write(_ replacement: [Int32], insteadOf count: Int) {
        for (index, character) in replacement.enumerated() { add(character, index < count ? 0 : 1) }
        let missing = count - replacement.count
        if missing > 0 && !changes.isEmpty { changes[changes.count - 1] -= Int32(missing) }
    }
}

/// The end of the grapheme cluster at `from`. Right wherever clusters are short enough to be looked up as a whole.
private func clusterEnd(_ characters: [Int32], _ from: Int) -> Int {
    var to = from + 1
    while to < characters.count && isJoined(characters[to - 1], characters[to]) { to += 1 }
    return to
}

private func isJoined(_ first: Int32, _ second: Int32) -> Bool {
    if first < 0x80 && second < 0x80 { return first == 0x0d && second == 0x0a }
    let control = UnicodeTable.graphemeControl
    if control.contains(first) || control.contains(second) { return false }
    return UnicodeTable.graphemeExtend.contains(second) || UnicodeTable.graphemePrepend.contains(first)
}
