/// A string instead of every match of a pattern.
struct Replace {
    private let pattern: Pattern
    private let content: [Int32]

    init(_ part: Part) throws {
        pattern = try readPattern(part)
        content = codePoints(try part.string("content"))
    }

    func normalize(_ text: inout NormalizedText) throws {
        var (characters, origins): ([Int32], [Int32]) = ([], [])
        var done = 0
        let old = text.characters
        func keep(to end: Int) {
            characters += old[done..<end]
            origins += Int32(done)..<Int32(end)
            done = end
        }
        var isModified = false
        try pattern.findAll(old, 0, old.count) { from, to in
            isModified = true
            keep(to: from)
            done = to
            characters += content
            origins += repeatElement(Int32(to - 1), count: content.count) // it comes from the match's last character
        }
        if !isModified { return }
        keep(to: old.count)
        text.replace(characters, origins: origins)
    }
}
