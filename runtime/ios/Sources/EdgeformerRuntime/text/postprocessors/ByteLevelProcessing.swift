private let writtenSpace: Int32 = 0x120 // what byte-level models write for it

/// A token that begins or ends with spaces has offsets without them.
struct ByteLevelProcessing: PostProcessor {
    private let addPrefixSpace: Bool
    private let trimsOffsets: Bool

    init(_ part: Part) throws {
        addPrefixSpace = try part.boolean("add_prefix_space")
        trimsOffsets = try part.boolean("trim_offsets")
    }

    var readsTexts: Bool { trimsOffsets }

    func added(isPair: Bool) -> Int { 0 }

    func process(_ parts: [Tokens]) -> [Tokens] {
        parts.enumerated().map { index, tokens in
            var tokens = tokens
            if trimsOffsets { trimOffsets(&tokens, addPrefixSpace: addPrefixSpace) }
            tokens.ranges[index] = tokens.ids.indices
            return tokens
        }
    }
}

/// `addPrefixSpace`: the first token may have one space that isn't in the text.
func trimOffsets(_ tokens: inout Tokens, addPrefixSpace: Bool) {
    for (index, text) in tokens.texts.enumerated() {
        var leading = text.prefix(while: isSpace).count
        let trailing = text.reversed().prefix(while: isSpace).count
        let (start, end) = (tokens.starts[index], tokens.ends[index])
        if leading == 1 && addPrefixSpace && (index == 0 || start == 0) { leading = 0 }
        let trimmed = min(start + leading, end)
        tokens.starts[index] = trimmed
        if trailing > 0 && end >= trailing { tokens.ends[index] = max(end - trailing, trimmed) }
    }
}

private func isSpace(_ character: Int32) -> Bool {
    character == writtenSpace || UnicodeTable.whitespace.contains(character)
}
