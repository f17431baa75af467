/// What sentencepiece writes for the space before a word.
let metaspace: Int32 = 0x2581

/// The merges of a BPE model, from either of the two ways to write them.
struct Merges {
    /// Of two ids; the lowest goes first.
    private(set) var ranks: PairMap
    /// By rank, the id of what comes out.
    private(set) var results: [Int32] = []
    /// Characters that some merge puts into one token with the word that begins behind them.
    private(set) var joinsWords: Set<Int32> = []

    init(_ part: Part, _ vocabulary: Vocabulary, prefix: [Int32]) throws {
        let written = try part.merges("merges")
        ranks = PairMap(expected: written.count)
        results.reserveCapacity(written.count)
        for (rank, (left, right)) in written.enumerated() {
            func id(_ token: Characters) throws -> Int32 {
                if let id = vocabulary.id(token) { return id }
                throw part.wrong("merges[\(rank)]", "tokens of the vocabulary", text(of: token))
            }
            if !right.starts(with: prefix) {
                let expected = "a second token that begins with '\(text(of: prefix))'"
                throw part.wrong("merges[\(rank)]", expected, text(of: right))
            }
            let result = left + right.dropFirst(prefix.count)
            ranks.set(try id(left), try id(right), Int32(rank))
            results.append(try id(result))
            for (before, next) in zip(result, result.dropFirst()) where next == metaspace && before != metaspace {
                joinsWords.insert(before)
            }
        }
    }
}
