/// A word is a token.
final class WordLevel: Model {
    let vocabulary: Vocabulary
    private let unknown: String

    init(_ part: Part) throws {
        vocabulary = try part.vocabulary("vocab")
        unknown = try part.string("unk_token")
    }

    func tokenize(_ characters: [Int32], _ from: Int, _ to: Int, _ add: AddToken) throws {
        guard let id = vocabulary.id(characters[from..<to]) ?? vocabulary.id(unknown) else {
            throw unknownText(unknown)
        }
        add(id, from, to)
    }
}
