/// A visible character stands for each space, and a word begins with it.
struct Metaspace {
    private let replacement: Int32
    private let scheme: String
    private let cutter: Cutter?

    init(_ part: Part) throws {
        replacement = try part.character("replacement")
        scheme = part.has("prepend_scheme") ? try part.oneOf("prepend_scheme", ["always", "first", "never"]) : "always"
        let split = try part.boolean("split", missing: true)
        cutter = split ? atCharacters(of: CharacterSet([replacement]), .mergedWithNext) : nil
        if try !part.boolean("add_prefix_space", missing: true) && scheme != "never" {
            throw part.wrong("prepend_scheme", "never, since add_prefix_space is false", scheme)
        }
    }

    func preTokenize(_ pieces: Pieces) throws -> Pieces {
        let words = pieces.rewrite { from, to, write in
            let first = pieces.characters[from]
            let isMissing = first != replacement && first != space
            let isWanted = scheme == "always" || (scheme == "first" && pieces.starts[from] == 0)
            if isMissing && isWanted { write(replacement, from) }
            for position in from..<to {
                let character = pieces.characters[position]
                write(character == space ? replacement : character, position)
            }
        }
        return try cutter.map(words.cut) ?? words
    }
}
