private let unknownPenalty = 10.0

/// Of all ways to write a word as tokens, the one with the largest sum of scores.
final class Unigram: Model {
    let vocabulary: Vocabulary
    private let scores: [Double]
    private let trie: Trie
    private let unknown: Int32?
    private let unknownScore: Double
    private let idOfByte: [Int32?]?
    private let cache = WordCache()

    init(_ part: Part) throws {
        let entries = try part.scoredTokens("vocab")
        let vocabulary = Vocabulary(expected: entries.count)
        var trie = Trie(expected: entries.count * 3)
        for (token, _) in entries {
            let (written, id) = (codePoints(token), Int32(vocabulary.count))
            vocabulary.add(written, id)
            if !written.isEmpty { trie.add(written, id) }
        }
        self.vocabulary = vocabulary
        self.trie = trie
        scores = entries.map { score(of: $0.score) }
        unknownScore = (scores.min() ?? .infinity) - unknownPenalty
        unknown = part.has("unk_id") ? Int32(try part.integer("unk_id")) : nil
        if let unknown, unknown >= entries.count {
            throw part.wrong("unk_id", "an id below \(entries.count)", "\(unknown)")
        }
        idOfByte = try part.boolean("byte_fallback", missing: false) ? idsOfBytes(vocabulary) : nil
    }

    func text(of id: Int32) -> Characters? {
        id == unknown ? nil : vocabulary.text(id)
    }

    func tokenize(_ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken) throws {
        try cache.tokenize(characters, from, to, add, split)
    }

    /// Id, begin and end of each token, counted from the word's beginning, in turn.
    private func split(_ word: Characters) throws -> [Int32] {
        let (lastIds, lastStarts) = try bestPath(word)
        var found: [(id: Int32, start: Int, end: Int)] = [] // from the end
        var end = word.count
        while end > 0 {
            var start = Int(lastStarts[end])
            let id = lastIds[end]
            if id == unknown { while start > 0 && lastIds[start] == id { start = Int(lastStarts[start]) } }
            let written = word[word.startIndex + start..<word.startIndex + end]
            for own in resolved(id, written).reversed() { found.append((own, start, end)) }
            end = start
        }
        return found.reversed().flatMap { [$0.id, Int32($0.start), Int32($0.end)] }
    }

    /// For each place, the last token of the best way to it, and where that begins.
    private func bestPath(_ word: Characters) throws -> (ids: [Int32], starts: [Int32]) {
        var best = [Double](repeating: 0, count: word.count + 1)
        var ids = [Int32](repeating: 0, count: word.count + 1)
        var starts = [Int32](repeating: -1, count: word.count + 1)
        func offer(_ start: Int, _ end: Int, _ id: Int32?, _ score: Double) throws {
            if starts[end] != -1 && score <= best[end] { return }
            guard let id else { throw unknownText(nil) }
            best[end] = score
            starts[end] = Int32(start)
            ids[end] = id
        }
        for start in 0..<word.count {
            var node = Trie.root
            var hasOne = false
            for end in start..<word.count {
                node = trie.child(node, word[word.startIndex + end])
                if node == -1 { break }
                let id = trie.value(node)
                if id == -1 { continue }
                try offer(start, end + 1, id, scores[Int(id)] + best[start])
                if end == start { hasOne = true }
            }
            if !hasOne { try offer(start, start + 1, unknown, unknownScore + best[start]) }
        }
        return (ids, starts)
    }

    /// The ids of one token; of neighbouring unknown characters: a token that they make together, their bytes, or one.
    private func resolved(_ id: Int32, _ written: Characters) -> [Int32] {
        if id != unknown { return [id] }
        if let whole = vocabulary.id(written) { return [whole] }
        guard let idOfByte else { return [id] }
        var bytes: [Int32] = []
        var hasAll = true
        for character in written {
            utf8Bytes(character) { byte in
                if let own = idOfByte[byte] { bytes.append(own) } else { hasAll = false }
            }
        }
        return hasAll ? bytes : [id]
    }
}
