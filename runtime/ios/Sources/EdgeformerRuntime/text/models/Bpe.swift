private let mostSymbols = 1 << 26 // so that rank and place fit one number

/// The symbols of a word: lengths are bytes in UTF-8, 0 where one is merged into another.
private struct Symbols {
    var ids: [Int32] = []
    var bytes: [Int32] = []

    init(capacity: Int) {
        ids.reserveCapacity(capacity)
        bytes.reserveCapacity(capacity)
    }

    mutating func push(_ id: Int32, _ bytes: Int) {
        ids.append(id)
        self.bytes.append(Int32(bytes))
    }
}

/// A word begins as its characters; of the pairs of neighbours that may merge the one of the lowest rank does, from the
/// left, until none may. A heap and a linked list make that n·log n.
final class Bpe: Model {
    let vocabulary: Vocabulary
    private let prefix: [Int32] // of what begins no word
    private let suffix: [Int32] // of what ends a word
    private let unknown: String?
    private let fuseUnknown: Bool
    private let byteFallback: Bool
    private let ignoreMerges: Bool
    private let merges: Merges
    private let idOfByte: [Int32?]
    private let splitsWords: Bool // words can be told apart before they are merged
    private let cache = WordCache()

    init(_ part: Part) throws {
        vocabulary = try part.vocabulary("vocab")
        prefix = codePoints(try part.string("continuing_subword_prefix", missing: ""))
        suffix = codePoints(try part.string("end_of_word_suffix", missing: ""))
        unknown = part.has("unk_token") ? try part.string("unk_token") : nil
        fuseUnknown = try part.boolean("fuse_unk", missing: false)
        byteFallback = try part.boolean("byte_fallback", missing: false)
        ignoreMerges = try part.boolean("ignore_merges", missing: false)
        if part.has("dropout"), try part.number("dropout") != 0 {
            throw part.unsupported("dropout makes tokens random")
        }
        if byteFallback && !(prefix + suffix).isEmpty {
            throw part.unsupported("byte_fallback together with continuing_subword_prefix or end_of_word_suffix")
        }
        merges = try Merges(part, vocabulary, prefix: prefix)
        idOfByte = idsOfBytes(vocabulary)
        splitsWords = unknown != nil && !ignoreMerges && (prefix + suffix).isEmpty
            && vocabulary.id([metaspace]) != nil
    }

    func tokenize(_ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken) throws {
        var start = from
        if splitsWords {
            for position in from + 1..<to where characters[position] == metaspace && isFree(characters, position - 1) {
                try cache.tokenize(characters, start, position, add, split)
                start = position
            }
        }
        try cache.tokenize(characters, start, to, add, split)
    }

    /// Whether no merge joins this character, a symbol by itself, with a word that begins behind it.
    private func isFree(_ characters: [Int32], _ position: Int) -> Bool {
        let character = characters[position]
        return character != metaspace && !merges.joinsWords.contains(character)
            && vocabulary.id(characters[position...position]) != nil
    }

    /// Id, begin and end of each token, counted from the word's beginning, in turn.
    private func split(_ word: Characters) throws -> [Int32] {
        if ignoreMerges, let id = vocabulary.id(word) { return [id, 0, Int32(word.count)] }
        var symbols = try symbols(word)
        if symbols.ids.count >= mostSymbols { throw InputError("text: a word of more than \(mostSymbols) bytes") }
        merge(&symbols)
        return places(symbols, Array(word))
    }

    /// Symbols count in bytes, since a byte can be one; a token's characters are those that its bytes lie in.
    private func places(_ symbols: Symbols, _ word: [Int32]) -> [Int32] {
        var found: [Int32] = []
        found.reserveCapacity(3 * symbols.ids.count)
        var start = 0
        var startByte = 0 // of the character at `start`
        var byte = 0
        for (id, bytes) in zip(symbols.ids, symbols.bytes) where bytes != 0 {
            while start < word.count - 1 && startByte + utf8Length(word[start]) <= byte {
                startByte += utf8Length(word[start])
                start += 1
            }
            byte += Int(bytes)
            var (end, endByte) = (start, startByte)
            while end < word.count && endByte < byte {
                endByte += utf8Length(word[end])
                end += 1
            }
            found += [id, Int32(start), Int32(end)]
            if endByte == byte && end < word.count { (start, startByte) = (end, endByte) }
        }
        return found
    }

    /// The symbols that a word begins as.
    private func symbols(_ word: Characters) throws -> Symbols {
        var symbols = Symbols(capacity: word.count)
        var unknownBytes = 0 // of the unknown characters just before, not pushed yet
        func pushUnknown() throws {
            if unknownBytes > 0 { symbols.push(try unknownId(), unknownBytes) }
            unknownBytes = 0
        }
        for position in word.indices {
            let character = word[position]
            if let id = characterId(word, position) {
                try pushUnknown()
                symbols.push(id, utf8Length(character))
            } else if byteFallback && hasBytes(character) {
                // As in `tokenizers`, unknown characters that wait come behind these bytes.
                utf8Bytes(character) { symbols.push(idOfByte[$0]!, 1) }
            } else if unknown != nil {
                if !fuseUnknown { try pushUnknown() }
                unknownBytes += utf8Length(character)
                _ = try unknownId()
            }
        }
        try pushUnknown()
        return symbols
    }

    private func characterId(_ word: Characters, _ position: Int) -> Int32? {
        let before = position == word.startIndex ? [] : prefix
        let behind = position == word.endIndex - 1 ? suffix : []
        let character = word[position...position]
        return vocabulary.id(before.isEmpty && behind.isEmpty ? character : (before + character + behind)[...])
    }

    private func hasBytes(_ character: Int32) -> Bool {
        var hasAll = true
        utf8Bytes(character) { hasAll = hasAll && idOfByte[$0] != nil }
        return hasAll
    }

    private func unknownId() throws -> Int32 {
        guard let unknown, let id = vocabulary.id(unknown) else { throw unknownText(unknown) }
        return id
    }

    private func merge(_ symbols: inout Symbols) {
        let count = symbols.ids.count
        if count < 2 { return }
        var previous = Array(-1..<Int32(count - 1))
        var next = Array(1..<Int32(count)) + [-1]
        var heap = MinHeap(capacity: count)
        func offer(_ place: Int, _ right: Int) {
            let rank = merges.ranks.value(symbols.ids[place], symbols.ids[right])
            if rank != -1 { heap.push(Int(rank) * mostSymbols + place) }
        }
        for place in 0..<count - 1 { offer(place, place + 1) }
        while !heap.isEmpty {
            let (rank, place) = heap.pop().quotientAndRemainder(dividingBy: mostSymbols)
            let right = Int(next[place])
            if symbols.bytes[place] == 0 || right == -1 { continue }
            // An entry of the heap may be out of date: others merged meanwhile.
            let nowRank = merges.ranks.value(symbols.ids[place], symbols.ids[right])
            let merged = merges.results[rank]
            if nowRank == -1 || merges.results[Int(nowRank)] != merged { continue }
            symbols.ids[place] = merged
            symbols.bytes[place] += symbols.bytes[right]
            symbols.bytes[right] = 0
            next[place] = next[right]
            if next[right] != -1 { previous[Int(next[right])] = Int32(place) }
            if previous[place] != -1 { offer(Int(previous[place]), place) }
            if next[place] != -1 { offer(place, Int(next[place])) }
        }
    }
}
