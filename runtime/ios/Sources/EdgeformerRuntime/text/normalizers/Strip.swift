/// White space at either end goes.
struct Strip {
    private let left: Bool
    private let right: Bool

    init(_ part: Part) throws {
        left = try part.boolean("strip_left")
        right = try part.boolean("strip_right")
    }

    func normalize(_ text: inout NormalizedText) {
        let whitespace = UnicodeTable.whitespace
        var (from, to) = (0, text.count)
        if left { while from < to && whitespace.contains(text.characters[from]) { from += 1 } }
        if right { while to > from && whitespace.contains(text.characters[to - 1]) { to -= 1 } }
        text.cut(from, to)
    }
}
