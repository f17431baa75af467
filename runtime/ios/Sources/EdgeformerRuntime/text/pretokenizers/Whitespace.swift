private enum Kind { case word, space, other }

private func kindOf(_ character: Int32) -> Kind {
    UnicodeTable.word.contains(character) ? .word : UnicodeTable.whitespace.contains(character) ? .space : .other
}

/// Runs of word characters, and runs of what is neither those nor white space: the pattern \w+|[^\w\s]+.
func cutAtKinds(_ characters: [Int32], _ from: Int, _ to: Int, _ take: Take) {
    var position = from
    while position < to {
        let (start, kind) = (position, kindOf(characters[position]))
        repeat { position += 1 } while position < to && kindOf(characters[position]) == kind
        if kind != .space { take(start, position) }
    }
}
