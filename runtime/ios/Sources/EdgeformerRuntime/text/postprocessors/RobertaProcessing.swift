/// <s> first </s> and </s> second </s>, all of type 0, offsets without spaces.
struct RobertaProcessing: PostProcessor {
    private let cls: SpecialToken
    private let sep: SpecialToken
    private let trimsOffsets: Bool
    private let addPrefixSpace: Bool

    init(_ part: Part) throws {
        cls = try SpecialToken(part, "cls")
        sep = try SpecialToken(part, "sep")
        trimsOffsets = try part.boolean("trim_offsets")
        addPrefixSpace = try part.boolean("add_prefix_space")
    }

    var readsTexts: Bool { trimsOffsets }

    func added(isPair: Bool) -> Int { isPair ? 4 : 2 }

    func process(_ parts: [Tokens]) -> [Tokens] {
        parts.enumerated().map { index, tokens in
            var tokens = tokens
            if trimsOffsets { trimOffsets(&tokens, addPrefixSpace: addPrefixSpace) }
            tokens.setTypes(0)
            return surrounded((index == 0 ? cls : sep).tokens(type: 0), tokens, sep.tokens(type: 0), min(index, 1))
        }
    }
}
