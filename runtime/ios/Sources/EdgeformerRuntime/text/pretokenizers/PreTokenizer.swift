/// What every pre-tokenizer is.
typealias PreTokenizer = (_ pieces: Pieces) throws -> Pieces

/// By its type in a tokenizer.json; throws RuntimeBundleError for one that this runtime doesn't know.
func readPreTokenizer(_ part: Part) throws -> PreTokenizer {
    let type = try part.string("type")
    switch type {
    case "BertPreTokenizer":
        return cutting([
            atCharacters(of: UnicodeTable.whitespace, .removed), atCharacters(of: UnicodeTable.punctuation, .isolated),
        ])
    case "ByteLevel": return try ByteLevel(part).preTokenize
    case "CharDelimiterSplit":
        return cutting([atCharacters(of: CharacterSet([try part.character("delimiter")]), .removed)])
    case "Digits":
        let behavior: Behavior = try part.boolean("individual_digits") ? .isolated : .contiguous
        return cutting([atCharacters(of: UnicodeTable.numeric, behavior)])
    case "Metaspace": return try Metaspace(part).preTokenize
    case "Punctuation":
        let behavior: Behavior = part.has("behavior") ? try readBehavior(part) : .isolated
        return cutting([atCharacters(of: UnicodeTable.punctuation, behavior)])
    case "Sequence":
        let all = try part.parts("pretokenizers").map(readPreTokenizer)
        return { pieces in try all.reduce(pieces) { try $1($0) } }
    case "Split":
        let pattern = try readPattern(part)
        return cutting([atMatches(of: pattern, try readBehavior(part), isInverted: try part.boolean("invert"))])
    case "Whitespace": return cutting([cutAtKinds])
    case "WhitespaceSplit": return cutting([atCharacters(of: UnicodeTable.whitespace, .removed)])
    default: throw part.unsupported("pre-tokenizer '\(type.prefix(80))' isn't known")
    }
}

private func readBehavior(_ part: Part) throws -> Behavior {
    Behavior(rawValue: try part.oneOf("behavior", Behavior.allCases.map(\.rawValue)))!
}

private func cutting(_ cutters: [Cutter]) -> PreTokenizer {
    { pieces in try cutters.reduce(pieces) { try $0.cut($1) } }
}
