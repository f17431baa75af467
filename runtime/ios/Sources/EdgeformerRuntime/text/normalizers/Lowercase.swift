/// Each character by itself; some become several.
func lowercase(_ text: inout NormalizedText) {
    if text.characters.allSatisfy({ $0 < 0x80 }) { return text.substitute(asciiLowercase) }
    let table = UnicodeTable.lowercase
    var (characters, origins): ([Int32], [Int32]) = ([], [])
    characters.reserveCapacity(text.count)
    origins.reserveCapacity(text.count)
    for (index, character) in text.characters.enumerated() {
        if character >= 0x80, let several = table[character] {
            characters += several
            origins += several.map { _ in Int32(index) }
        } else {
            characters.append(asciiLowercase(character))
            origins.append(Int32(index))
        }
    }
    text.replace(characters, origins: origins)
}

private func asciiLowercase(_ character: Int32) -> Int32 {
    0x41...0x5a ~= character ? character + 0x20 : character
}
