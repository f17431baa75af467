/// [CLS] first [SEP] second [SEP].
struct BertProcessing: PostProcessor {
    let readsTexts = false
    private let cls: SpecialToken
    private let sep: SpecialToken

    init(_ part: Part) throws {
        cls = try SpecialToken(part, "cls")
        sep = try SpecialToken(part, "sep")
    }

    func added(isPair: Bool) -> Int { isPair ? 3 : 2 }

    func process(_ parts: [Tokens]) -> [Tokens] {
        parts.enumerated().map { index, tokens in
            let text = min(index, 1)
            return surrounded(text == 0 ? cls.tokens(type: 0) : Tokens(), tokens, sep.tokens(type: text), text)
        }
    }
}
