/// Control characters go, white space becomes spaces, spaces around Chinese characters, accents go.
struct BertNormalizer {
    private let cleanText: Bool
    private let handleChinese: Bool
    private let lowercases: Bool
    private let stripsAccents: Bool

    init(_ part: Part) throws {
        cleanText = try part.boolean("clean_text")
        handleChinese = try part.boolean("handle_chinese_chars")
        lowercases = try part.boolean("lowercase")
        stripsAccents = try part.boolean("strip_accents", missing: lowercases)
    }

    func normalize(_ text: inout NormalizedText) {
        if cleanText {
            text.remove(UnicodeTable.bertRemoved)
            text.writeSpaces(for: UnicodeTable.whitespace)
        }
        if handleChinese { surroundChinese(&text) }
        if stripsAccents {
            UnicodeForm(isCompatible: false, isComposed: false).normalize(&text)
            text.remove(UnicodeTable.nonspacingMark)
        }
        if lowercases { lowercase(&text) }
    }

    private func surroundChinese(_ text: inout NormalizedText) {
        let chinese = UnicodeTable.bertChinese
        if !text.characters.contains(where: chinese.contains) { return }
        var (characters, origins): ([Int32], [Int32]) = ([], [])
        for (index, character) in text.characters.enumerated() {
            let written = chinese.contains(character) ? [space, character, space] : [character]
            characters += written
            origins += written.map { _ in Int32(index) }
        }
        text.replace(characters, origins: origins)
    }
}
