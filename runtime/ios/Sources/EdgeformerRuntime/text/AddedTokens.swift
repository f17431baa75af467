private struct AddedToken {
    let id: Int32
    let content: String
    let singleWord: Bool // only where no word character stands beside it
    let leftStrip: Bool // it takes the white space before it
    let rightStrip: Bool // and behind it
    let normalized: Bool
}

/// Called with each part [from, to) of a text in order, and the id of the added token that it is, or -1.
typealias TakePart = (_ from: Int, _ to: Int, _ token: Int32) throws -> Void

/// Tokens beside the model's that are looked for at one time; of several that begin at one place the longest counts.
struct Matcher {
    private var trie = Trie(expected: 64)
    private var beginnings = CharacterSet()
    private var byId: [Int32: AddedToken] = [:]

    /// (for the text as it is, for the normalized one) of a tokenizer's added tokens.
    static func read(_ parts: [Part], _ model: any Model, _ normalizer: Normalizer?) throws -> (Matcher, Matcher) {
        var (plain, normalized) = (Matcher(), Matcher())
        for token in try readTokens(parts, model) {
            var text = NormalizedText(codePoints(token.content)[...])
            if token.normalized {
                try normalizer?(&text)
                try normalized.add(token, text.characters)
            } else {
                try plain.add(token, text.characters)
            }
        }
        return (plain, normalized)
    }

    private static func readTokens(_ parts: [Part], _ model: any Model) throws -> [AddedToken] {
        var tokens: [AddedToken] = []
        var placeOfId: [Int32: Int] = [:]
        var ids: [[Int32]: Int32] = [:]
        // The file's own ids don't count: that is what `tokenizers` does with them.
        var next = Int32(model.vocabulary.count)
        for part in parts {
            let content = try part.string("content")
            let written = codePoints(content)
            if written.isEmpty { continue }
            let known = ids[written] ?? model.vocabulary.id(written[...])
            let id = known ?? next
            if known == nil { next += 1 }
            ids[written] = id
            _ = try part.boolean("special") // of use to decoders alone
            let token = AddedToken(
                id: id,
                content: content,
                singleWord: try part.boolean("single_word"),
                leftStrip: try part.boolean("lstrip"),
                rightStrip: try part.boolean("rstrip"),
                normalized: try part.boolean("normalized")
            )
            if let place = placeOfId[id] {
                tokens[place] = token
            } else {
                placeOfId[id] = tokens.count
                tokens.append(token)
            }
        }
        return tokens
    }

    /// Throws RuntimeBundleError where two tokens are written alike.
    private mutating func add(_ token: AddedToken, _ written: [Int32]) throws {
        if written.isEmpty {
            throw tokenizerError("tokenizer.json: added token '\(token.content)' is empty when it is normalized")
        }
        let known = trie.walk(written)
        if known != -1, let other = byId[trie.value(known)] {
            throw tokenizerError(
                "tokenizer.json: added tokens '\(token.content)' and '\(other.content)' can't be told apart")
        }
        trie.add(written, token.id)
        beginnings.add(written[0])
        byId[token.id] = token
    }

    /// Cuts `characters` at the tokens in them.
    func split(_ characters: [Int32], _ take: TakePart) throws {
        var done = 0
        var position = 0
        while !byId.isEmpty && position < characters.count {
            guard beginnings.contains(characters[position]),
                let (token, end) = longest(characters, position)
            else {
                position += 1
                continue
            }
            if !token.singleWord || standsAlone(characters, position, end) {
                var (from, to) = (position, end)
                if token.leftStrip {
                    while from > done && UnicodeTable.whitespace.contains(characters[from - 1]) { from -= 1 }
                }
                if token.rightStrip {
                    while to < characters.count && UnicodeTable.whitespace.contains(characters[to]) { to += 1 }
                }
                if done < from { try take(done, from, noToken) }
                try take(from, to, token.id)
                done = to
            }
            position = end
        }
        if done < characters.count { try take(done, characters.count, noToken) }
    }

    /// The longest token that begins at `position`, and where it ends.
    private func longest(_ characters: [Int32], _ position: Int) -> (AddedToken, Int)? {
        var node = Trie.root
        var found: (id: Int32, end: Int)?
        for next in position..<characters.count {
            node = trie.child(node, characters[next])
            if node == -1 { break }
            if trie.value(node) != -1 { found = (trie.value(node), next + 1) }
        }
        return found.flatMap { found in byId[found.id].map { ($0, found.end) } }
    }

    private func standsAlone(_ characters: [Int32], _ from: Int, _ to: Int) -> Bool {
        func isFree(_ position: Int) -> Bool {
            !characters.indices.contains(position) || !UnicodeTable.word.contains(characters[position])
        }
        return isFree(from - 1) && isFree(to)
    }
}
