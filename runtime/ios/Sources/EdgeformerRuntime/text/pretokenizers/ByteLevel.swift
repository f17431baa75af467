/// Words as GPT-2 has them, each byte of UTF-8 as one printable character.
struct ByteLevel {
    private static let words = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    private let addPrefixSpace: Bool
    private let cutter: Cutter?

    init(_ part: Part) throws {
        addPrefixSpace = try part.boolean("add_prefix_space")
        _ = try part.boolean("trim_offsets") // of use to the post-processor alone
        let useRegex = try part.boolean("use_regex", missing: true)
        cutter = useRegex ? atMatches(of: try parseRegex(Self.words), .isolated, isInverted: false) : nil
    }

    func preTokenize(_ pieces: Pieces) throws -> Pieces {
        let spaced = addPrefixSpace ? withPrefixSpace(pieces) : pieces
        let words = try cutter.map(spaced.cut) ?? spaced
        let written = characterOfByte
        return words.rewrite { from, to, write in
            for position in from..<to { utf8Bytes(words.characters[position]) { write(written[$0], position) } }
        }
    }

    private func withPrefixSpace(_ pieces: Pieces) -> Pieces {
        pieces.rewrite { from, to, write in
            if pieces.characters[from] != space { write(space, from) }
            for position in from..<to { write(pieces.characters[position], position) }
        }
    }
}
