/// The fields `cls` and `sep` of BERT's and RoBERTa's post-processors: ["[CLS]", 101].
struct SpecialToken {
    private let text: [Int32]
    private let id: Int32

    init(_ part: Part, _ key: String) throws {
        let (token, id) = try part.tokenAndId(key)
        text = codePoints(token)
        self.id = id
    }

    func tokens(type: Int) -> Tokens {
        Tokens(special: [id], texts: [text[...]], type: type)
    }
}

/// `tokens` as text `index`, between those of `before` (perhaps none) and `behind`.
func surrounded(_ before: Tokens, _ tokens: Tokens, _ behind: Tokens, _ index: Int) -> Tokens {
    var joined = Tokens(joining: [before, tokens, behind])
    joined.ranges = [index: before.count..<before.count + tokens.count]
    return joined
}
