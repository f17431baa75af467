/// A string before a text that isn't empty.
struct Prepend {
    private let before: [Int32]

    init(_ part: Part) throws {
        before = codePoints(try part.string("prepend"))
    }

    func normalize(_ text: inout NormalizedText) {
        if text.count == 0 { return }
        let origins = Array(repeating: 0, count: before.count) + Array(0..<Int32(text.count))
        text.replace(before + text.characters, origins: origins)
    }
}
