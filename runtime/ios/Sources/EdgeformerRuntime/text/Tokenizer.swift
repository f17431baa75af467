private let maxBytes = 256 << 20
private let maxValues = 20_000_000
private let decoders = [
    "BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece",
]

/// The tokens of a text or a pair, special ones included: arrays of one length.
struct Encoding {
    let ids: [Int32]
    let types: [Int]
    /// Code points of the text that a token is of, [starts[i], ends[i]); 0 and 0 for special ones.
    let starts: [Int]
    let ends: [Int]
    /// nil for special ones.
    let words: [Int?]
    /// Which text, 0 or 1; nil for special ones.
    let texts: [Int?]
    /// How many were left out.
    let tokensCut: Int
}

/// The tokens of one text before anything is cut or added.
private struct RawTokens {
    struct Token {
        let id: Int32
        let word: Int32
        /// Characters of `pieces`.
        let from: Int32
        let to: Int32
    }

    let pieces: Pieces
    var all: [Token] = []
}

/// A tokenizer.json, opened: texts to tokens exactly as Python's package `tokenizers` makes them. Not for several
/// threads.
final class Tokenizer {
    private let normalizer: Normalizer?
    private let preTokenizer: PreTokenizer?
    private let model: any Model
    private let postProcessor: (any PostProcessor)?
    private let plain: Matcher
    private let normalized: Matcher

    /// `content`: the file. Throws RuntimeBundleError for what it holds and this runtime doesn't know.
    init(_ content: [UInt8]) throws {
        let root = try Part(try parsed(content), "tokenizer.json")
        if root.has("version") { _ = try root.oneOf("version", ["1.0"]) }
        normalizer = root.has("normalizer") ? try readNormalizer(try root.part("normalizer")) : nil
        preTokenizer = root.has("pre_tokenizer") ? try readPreTokenizer(try root.part("pre_tokenizer")) : nil
        model = try readModel(try root.part("model"))
        postProcessor = root.has("post_processor") ? try readPostProcessor(try root.part("post_processor")) : nil
        let added = root.has("added_tokens") ? try root.parts("added_tokens") : []
        (plain, normalized) = try Matcher.read(added, model, normalizer)
        if root.has("decoder") { try checkDecoder(try root.part("decoder")) }
    }

    /// Encodes a text, or a pair, cut as `truncation` says (nil: not at all); nothing is padded. Throws InputError for
    /// what can't be cut to fit, and where the text holds what the tokenizer has no token for.
    func encode(_ text: String, _ second: String? = nil, truncation: Truncation? = nil) throws -> Encoding {
        let raw = try [text, second].compactMap { $0 }.map(rawTokens)
        let lengths = raw.map(\.all.count)
        let kept = try truncation.map { try keptLengths(lengths, $0) } ?? lengths
        let parts = raw.indices.map { index in
            let excess = lengths[index] - kept[index]
            return tokens(raw[index], index, truncation?.fromLeft == true ? excess..<lengths[index] : 0..<kept[index])
        }
        let joined = Tokens(joining: postProcessor?.process(parts) ?? parts)
        return Encoding(
            ids: joined.ids,
            types: joined.types,
            starts: joined.starts,
            ends: joined.ends,
            words: joined.words,
            texts: joined.textOfEach(),
            tokensCut: lengths.reduce(0, +) - kept.reduce(0, +)
        )
    }

    private func keptLengths(_ lengths: [Int], _ truncation: Truncation) throws -> [Int] {
        let added = postProcessor?.added(isPair: lengths.count == 2) ?? 0
        let room = truncation.maxLength - added
        if room < 0 {
            throw InputError("text: \(truncation.maxLength) tokens have no room for the \(added) special ones")
        }
        return try EdgeformerRuntime.keptLengths(lengths, room: room, cut: truncation.cut)
    }

    private func rawTokens(_ text: String) throws -> RawTokens {
        let pieces = try pieces(codePoints(text))
        let words = try preTokenizer?(pieces) ?? pieces
        var found = RawTokens(pieces: words)
        found.all.reserveCapacity(words.all.count * 5 / 4)
        for (index, word) in words.all.enumerated() {
            let add: AddToken = { id, from, to in
                found.all.append(.init(id: id, word: Int32(index), from: Int32(from), to: Int32(to)))
            }
            if word.token != noToken {
                add(word.token, word.from, word.to)
            } else {
                try model.tokenize(words.characters, word.from, word.to, add)
            }
        }
        return found
    }

    /// The text normalized, with the added tokens as pieces.
    private func pieces(_ characters: [Int32]) throws -> Pieces {
        var builder = PiecesBuilder(expected: characters.count)
        try plain.split(characters) { from, to, token in
            var text = NormalizedText(characters[from..<to])
            if token != noToken {
                builder.append(text, 0, text.count)
                builder.endPiece(token)
                return
            }
            try normalizer?(&text)
            try normalized.split(text.characters) { start, end, found in
                builder.append(text, start, end)
                builder.endPiece(found)
            }
        }
        return builder.build()
    }

    /// Those of text `index` that stay.
    private func tokens(_ raw: RawTokens, _ index: Int, _ kept: Range<Int>) -> Tokens {
        let (pieces, all) = (raw.pieces, raw.all[kept])
        var tokens = Tokens()
        tokens.ids = all.map(\.id)
        tokens.setTypes(index)
        tokens.starts = all.map { Int(pieces.starts[Int($0.from)]) }
        tokens.ends = all.map { Int(pieces.ends[Int($0.to) - 1]) }
        tokens.words = all.map { Int($0.word) }
        if postProcessor?.readsTexts == true {
            tokens.texts = all.map { token in
                let isAdded = pieces.all[Int(token.word)].token != noToken
                let known = isAdded ? nil : model.text(of: token.id)
                return known ?? pieces.characters[Int(token.from)..<Int(token.to)]
            }
        }
        tokens.ranges = [index: tokens.ids.indices]
        return tokens
    }
}

private func parsed(_ content: [UInt8]) throws -> Json {
    do {
        return try readJson(content, "tokenizer.json", maxBytes: maxBytes, maxValues: maxValues)
    } catch let error as RuntimeBundleError {
        throw tokenizerError(error.message)
    }
}

/// Texts to tokens need none, but a file with an unknown one is of another release: Python refuses it as well.
private func checkDecoder(_ part: Part) throws {
    let type = try part.string("type")
    if !decoders.contains(type) { throw part.unsupported("decoder '\(type.prefix(80))' isn't known") }
    if type == "Sequence" { try part.parts("decoders").forEach(checkDecoder) }
}
