/// Each byte of UTF-8 as one printable character.
func writeBytes(_ text: inout NormalizedText) {
    var (characters, origins): ([Int32], [Int32]) = ([], [])
    for (index, character) in text.characters.enumerated() {
        utf8Bytes(character) { byte in
            characters.append(characterOfByte[byte])
            origins.append(Int32(index))
        }
    }
    text.replace(characters, origins: origins)
}
