/// One row, ready to run: `feeds` are {input name: array [1, …]}.
///
/// `tokens`: of a text, special ones included; nil for what isn't text. `isTruncated`: a part of the row was left out;
/// `tokensCut` counts those of a text, nil where that isn't known. `text`: where its tokens come from. `notes`: what
/// was done to a sound before, a sentence each.
struct Encoded: Sendable {
    let feeds: [String: Tensor]
    var tokens: Int?
    var isTruncated = false
    var tokensCut: Int?
    var text: TextPlaces?
    var notes: [String] = []

    func places() throws -> TextPlaces {
        guard let text else { throw InputError("this task needs a text: its results are places in it") }
        return text
    }
}

/// Where each token comes from: `starts` and `ends` are Unicode code points of the text, `words` numbers the words,
/// `texts` says which text (0 or 1). Special tokens have 0, 0, nil and nil. `first` and `second`: the texts.
struct TextPlaces: Sendable {
    let starts: [Int]
    let ends: [Int]
    let words: [Int?]
    let texts: [Int?]
    let first: String
    let second: String?
}

/// The part of `text` between two places in code points.
func between(_ text: String, _ start: Int, _ end: Int) -> String {
    var part = String.UnicodeScalarView()
    part.append(contentsOf: text.unicodeScalars.dropFirst(start).prefix(end - start))
    return String(part)
}
