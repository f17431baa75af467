private let slotCount = 1 << 14
private let longestWord = 64 // characters

/// Tokens of words that were met before: texts repeat them. One slot a hash; a newer word takes an older one's place.
final class WordCache {
    private struct Entry {
        let word: [Int32]
        let tokens: [Int32]
    }

    private var entries: [Entry?] = Array(repeating: nil, count: slotCount)

    /// Calls `add` with the tokens of characters[from … to-1]. `split` gives those of a word that isn't known: id,
    /// begin and end, counted from the word's beginning, in turn.
    func tokenize(
        _ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken, _ split: (Characters) throws -> [Int32]
    ) rethrows {
        let word = characters[from..<to]
        if word.count > longestWord { return Self.add(try split(word), from, add) }
        let slot = Int(wordHash(word)) & (slotCount - 1)
        if let known = entries[slot], known.word[...] == word { return Self.add(known.tokens, from, add) }
        let tokens = try split(word)
        entries[slot] = Entry(word: Array(word), tokens: tokens)
        Self.add(tokens, from, add)
    }

    private static func add(_ tokens: [Int32], _ from: Int, _ add: AddToken) {
        for index in stride(from: 0, to: tokens.count, by: 3) {
            add(tokens[index], from + Int(tokens[index + 1]), from + Int(tokens[index + 2]))
        }
    }
}
