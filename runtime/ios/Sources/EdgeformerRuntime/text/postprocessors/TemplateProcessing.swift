private enum TemplatePiece {
    /// Text 0 or 1, with its type.
    case text(Int, type: Int)
    case special(Tokens)
}

/// The texts and special tokens in the order of a template, each with its type.
struct TemplateProcessing: PostProcessor {
    let readsTexts = false
    private let single: [TemplatePiece]
    private let pair: [TemplatePiece]

    init(_ part: Part) throws {
        let special = try part.part("special_tokens")
        single = try part.parts("single").map { try readPiece($0, special) }
        pair = try part.parts("pair").map { try readPiece($0, special) }
        for case .text(1, _) in single { throw part.unsupported("a template for one text that names a second") }
    }

    func added(isPair: Bool) -> Int {
        (isPair ? pair : single).reduce(0) { sum, piece in
            if case .special(let tokens) = piece { return sum + tokens.count }
            return sum
        }
    }

    func process(_ parts: [Tokens]) -> [Tokens] {
        (parts.count == 2 ? pair : single).map { piece in
            switch piece {
            case .special(let tokens): return tokens
            case .text(let index, let type):
                var tokens = parts[index]
                tokens.setTypes(type)
                tokens.ranges[index] = tokens.ids.indices
                return tokens
            }
        }
    }
}

private func readPiece(_ piece: Part, _ special: Part) throws -> TemplatePiece {
    if piece.has("Sequence") {
        let text = try piece.part("Sequence")
        return .text(try text.oneOf("id", ["A", "B"]) == "A" ? 0 : 1, type: try text.integer("type_id"))
    }
    let named = try piece.part("SpecialToken")
    let token = try special.part(try named.string("id"))
    let ids = try token.integers("ids").map(Int32.init)
    let texts = try token.strings("tokens").map { codePoints($0)[...] }
    if ids.count != texts.count {
        throw token.wrong("tokens", "as many tokens as ids, \(ids.count)", "\(texts.count)")
    }
    return .special(Tokens(special: ids, texts: texts, type: try named.integer("type_id")))
}
