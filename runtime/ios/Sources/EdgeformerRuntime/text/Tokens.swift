/// Tokens of a text with what is known of each: arrays of one length.
struct Tokens {
    var ids: [Int32] = []
    var types: [Int] = []
    /// Code points of the text, [starts[i], ends[i]).
    var starts: [Int] = []
    var ends: [Int] = []
    /// nil: the token stands for no word, since a post-processor put it there.
    var words: [Int?] = []
    /// The tokens as the vocabulary writes them; empty where no post-processor reads them.
    var texts: [Characters] = []
    /// Which text (0 or 1) → its tokens.
    var ranges: [Int: Range<Int>] = [:]

    var count: Int { ids.count }

    init() {}

    /// Tokens that a post-processor adds: they stand for no text.
    init(special ids: [Int32], texts: [Characters], type: Int) {
        let zeros = Array(repeating: 0, count: ids.count)
        self.ids = ids
        types = ids.map { _ in type }
        (starts, ends) = (zeros, zeros)
        words = ids.map { _ in nil }
        self.texts = texts
    }

    /// All of `parts`, one after the other.
    init(joining parts: [Tokens]) {
        for part in parts {
            for (text, range) in part.ranges { ranges[text] = range.lowerBound + count..<range.upperBound + count }
            ids += part.ids
            types += part.types
            starts += part.starts
            ends += part.ends
            words += part.words
            texts += part.texts
        }
    }

    mutating func setTypes(_ type: Int) {
        types = ids.map { _ in type }
    }

    /// For each token the text that it is of; nil for those that were added.
    func textOfEach() -> [Int?] {
        var found = [Int?](repeating: nil, count: count)
        for text in 0..<max(ranges.count, 1) {
            for index in ranges[text] ?? ids.indices { found[index] = text }
        }
        return found
    }
}
