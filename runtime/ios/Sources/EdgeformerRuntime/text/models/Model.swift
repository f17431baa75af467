/// Adds a token: its id, and the characters of the word that it stands for: [from, to), counted in the buffer.
typealias AddToken = (_ id: Int32, _ from: Int, _ to: Int) -> Void

/// What every model of a tokenizer is.
protocol Model {
    /// As many tokens as it counts: an added token that it lacks gets the next id.
    var vocabulary: Vocabulary { get }

    /// A token's text, as its vocabulary writes it; nil where the text that it stands for counts.
    func text(of id: Int32) -> Characters?

    /// The tokens of the word characters[from … to-1].
    func tokenize(_ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken) throws
}

extension Model {
    func text(of id: Int32) -> Characters? { vocabulary.text(id) }
}

/// By its type in a tokenizer.json; throws RuntimeBundleError for one that this runtime doesn't know.
func readModel(_ part: Part) throws -> any Model {
    let type = part.has("type") ? try part.string("type") : try guessed(part)
    switch type {
    case "BPE": return try Bpe(part)
    case "Unigram": return try Unigram(part)
    case "WordLevel": return try WordLevel(part)
    case "WordPiece": return try WordPiece(part)
    default: throw part.unsupported("model '\(type.prefix(80))' isn't known")
    }
}

/// Files of early releases don't say the type; these fields tell them apart.
private func guessed(_ part: Part) throws -> String {
    if part.has("merges") { return "BPE" }
    if part.has("max_input_chars_per_word") { return "WordPiece" }
    return try part.isList("vocab") ? "Unigram" : "WordLevel"
}

/// A text holds what the vocabulary lacks, and it has no token for such.
func unknownText(_ token: String?) -> InputError {
    let lacks = token.map { "lacks its own token for unknown text, '\($0)'" } ?? "names no token for unknown text"
    return InputError("text: holds characters that the tokenizer doesn't know, and its vocabulary \(lacks)")
}

/// The ids of tokens that stand for one byte each, of byte 0 first; nil for those that there are none of.
func idsOfBytes(_ vocabulary: Vocabulary) -> [Int32?] {
    (0..<256).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return vocabulary.id("<0x\(byte < 16 ? "0" : "")\(digits)>")
    }
}
