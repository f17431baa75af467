// No character below these changes.
private let firstCanonical: Int32 = 0xc0
private let firstCompatible: Int32 = 0xa0

/// `tokenizers` counts changes of characters (see NormalizedText.change); these are the characters and their changes.
struct Changed {
    var characters: [Int32] = []
    var changes: [Int32] = []

    init(capacity: Int) {
        characters.reserveCapacity(capacity)
        changes.reserveCapacity(capacity)
    }

    mutating func add(_ character: Int32, _ change: Int32) {
        characters.append(character)
        changes.append(change)
    }
}

/// NFC, NFD, NFKC, NFKD.
struct UnicodeForm {
    let isCompatible: Bool
    let isComposed: Bool

    func normalize(_ text: inout NormalizedText) {
        let first = isCompatible ? firstCompatible : firstCanonical
        if text.characters.allSatisfy({ $0 < first }) { return }
        let decomposed = decomposed(text.characters)
        let changed = isComposed ? composed(decomposed) : decomposed
        text.change(changed.characters, changes: changed.changes)
    }

    private func decomposed(_ characters: [Int32]) -> Changed {
        var found = Changed(capacity: characters.count + 16)
        var sortFrom = -1 // where a run of characters with a combining class begins
        func push(_ character: Int32, _ change: Int32) {
            let isStarter = character < 0x300 || UnicodeTable.combiningClass(character) == 0
            if isStarter && sortFrom != -1 {
                sortMarks(&found, from: sortFrom)
                sortFrom = -1
            } else if !isStarter && sortFrom == -1 {
                sortFrom = found.characters.count
            }
            found.add(character, change)
        }
        for character in characters {
            if character >= firstCompatible,
                let parts = UnicodeTable.decomposition(character, isCompatible: isCompatible) {
                for (position, part) in parts.enumerated() { push(part, position == 0 ? 0 : 1) }
            } else {
                push(character, 0)
            }
        }
        if sortFrom != -1 { sortMarks(&found, from: sortFrom) }
        return found
    }

    /// Puts the marks from `from` to the end in the order of their classes, equal ones as they were.
    private func sortMarks(_ text: inout Changed, from: Int) {
        if text.characters.count - from < 2 { return }
        let marks = (from..<text.characters.count).sorted {
            let (one, other) = (text.characters[$0], text.characters[$1])
            return (UnicodeTable.combiningClass(one), $0) < (UnicodeTable.combiningClass(other), $1)
        }
        let (characters, changes) = (marks.map { text.characters[$0] }, marks.map { text.changes[$0] })
        text.characters.replaceSubrange(from..., with: characters)
        text.changes.replaceSubrange(from..., with: changes)
    }

    /// Composes in the order in which `tokenizers` hands characters out: a starter before the marks that stay apart
    /// from it.
    private func composed(_ decomposed: Changed) -> Changed {
        var found = Changed(capacity: decomposed.characters.count)
        var starter = -1 // where the last starter stands
        var lastClass = -1 // the class of the last mark behind it that stayed; -1: none
        for (character, change) in zip(decomposed.characters, decomposed.changes) {
            let order = Int(UnicodeTable.combiningClass(character))
            let isBlocked = starter == -1 || (lastClass != -1 && lastClass >= order)
            let composed = isBlocked ? -1 : UnicodeTable.compose(found.characters[starter], character)
            if composed != -1 {
                found.characters[starter] = composed
                found.changes[starter] += change - 1
                continue
            }
            if order == 0 {
                starter = found.characters.count
                lastClass = -1
            } else if starter != -1 {
                lastClass = order
            }
            found.add(character, change)
        }
        return found
    }
}
