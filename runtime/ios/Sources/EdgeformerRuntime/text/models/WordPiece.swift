/// From the left the longest token that the word goes on with; a word that has none at some place is unknown.
final class WordPiece: Model {
    let vocabulary: Vocabulary
    private let unknown: String
    private let longest: Int // characters; a longer word is unknown
    private let trie: Trie
    private let inside: Int32 // the node behind the prefix of tokens that begin no word; -1: there are none
    private let cache = WordCache()

    init(_ part: Part) throws {
        vocabulary = try part.vocabulary("vocab")
        unknown = try part.string("unk_token")
        longest = try part.integer("max_input_chars_per_word")
        var trie = Trie(expected: vocabulary.count * 3)
        vocabulary.forEach { token, id in trie.add(token, id) }
        self.trie = trie
        inside = trie.walk(codePoints(try part.string("continuing_subword_prefix")))
    }

    func tokenize(_ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken) throws {
        try cache.tokenize(characters, from, to, add) { word in
            if let tokens = word.count > longest ? nil : split(word) { return tokens }
            guard let id = vocabulary.id(unknown) else { throw unknownText(unknown) }
            return [id, 0, Int32(word.count)]
        }
    }

    /// Id, begin and end of each token, counted from the word's beginning, in turn; nil where the word is unknown.
    private func split(_ word: Characters) -> [Int32]? {
        var found: [Int32] = []
        var start = word.startIndex
        while start < word.endIndex {
            var node = start == word.startIndex ? Trie.root : inside
            var (id, end): (Int32, Int) = (-1, start)
            var position = start
            while position < word.endIndex && node != -1 {
                node = trie.child(node, word[position])
                position += 1
                if node == -1 || trie.value(node) == -1 { continue }
                id = trie.value(node)
                end = position
            }
            if id == -1 { return nil }
            found += [id, Int32(start - word.startIndex), Int32(end - word.startIndex)]
            start = end
        }
        return found
    }
}
