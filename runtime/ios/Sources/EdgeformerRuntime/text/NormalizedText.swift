/// A text on its way through the normalizers: its characters now, and the place in the original that each came from.
///
/// Places are code points, [starts[i], ends[i]) of the whole original text, also where this is a part of it.
struct NormalizedText {
    private(set) var characters: [Int32]
    private(set) var starts: [Int32]
    private(set) var ends: [Int32]

    var count: Int { characters.count }

    /// `characters`, unchanged, from the place in the original where the slice begins.
    init(_ characters: Characters) {
        self.characters = Array(characters)
        let (first, last) = (Int32(characters.startIndex), Int32(characters.endIndex))
        starts = Array(first..<last)
        ends = Array(first + 1..<last + 1)
    }

    /// Replaces everything: character i now comes from the old character origins[i].
    mutating func replace(_ characters: [Int32], origins: [Int32]) {
        let (oldStarts, oldEnds) = (starts, ends)
        starts = origins.map { oldStarts[Int($0)] }
        ends = origins.map { oldEnds[Int($0)] }
        self.characters = characters
    }

    /// Writes others for as many characters, each in the place of the old one.
    mutating func substitute(_ other: (Int32) -> Int32) {
        for index in characters.indices { characters[index] = other(characters[index]) }
    }

    /// Takes away the characters of `set`.
    mutating func remove(_ set: CharacterSet) {
        var kept = 0
        for index in characters.indices where !set.contains(characters[index]) {
            characters[kept] = characters[index]
            starts[kept] = starts[index]
            ends[kept] = ends[index]
            kept += 1
        }
        cut(0, kept)
    }

    /// Writes a space for each character of `set`.
    mutating func writeSpaces(for set: CharacterSet) {
        substitute { set.contains($0) ? space : $0 }
    }

    /// Keeps the characters [from, to).
    mutating func cut(_ from: Int, _ to: Int) {
        if from == 0 && to == count { return }
        characters = Array(characters[from..<to])
        starts = Array(starts[from..<to])
        ends = Array(ends[from..<to])
    }

    /// Replaces everything, the origins told by changes as `tokenizers` counts them: 1, a further character of the one
    /// before; 0, it stands for the next old one; -n, for the next old one, and n more that fall away.
    mutating func change(_ characters: [Int32], changes: [Int32]) {
        let last = Int32(count - 1)
        var next: Int32 = 0
        let origins = changes.map { change -> Int32 in
            if change > 0 { return max(next - 1, 0) }
            defer { next += 1 - change }
            return min(next, last)
        }
        replace(characters, origins: origins)
    }
}
