/// Tokens and their ids. All texts lie in one array of code points: Swift's own strings count as equal where they only
/// look alike, and tokens that do are different ones.
final class Vocabulary {
    private var characters: [Int32] = []
    private var ends: [Int] = [] // of each token in `characters`
    private var ids: [Int32] = []
    private var slots: [Int32] // a hash table of places in `ids`; -1: free
    private lazy var places = Dictionary(zip(ids, ids.indices)) { $1 } // made when it is first asked for

    /// `expected`: how many tokens there will be.
    init(expected: Int) {
        var capacity = 16
        while capacity < expected * 2 { capacity *= 2 }
        slots = Array(repeating: -1, count: capacity)
        ids.reserveCapacity(expected)
        ends.reserveCapacity(expected)
    }

    var count: Int { ids.count }

    /// Of two ids for one token, as of two tokens for one id, the last counts.
    func add(_ token: [Int32], _ id: Int32) {
        precondition(count * 2 < slots.count, "more tokens than expected")
        characters += token
        ends.append(characters.count)
        slots[slot(token[...])] = Int32(count)
        ids.append(id)
    }

    func id(_ token: Characters) -> Int32? {
        let place = slots[slot(token)]
        return place == -1 ? nil : ids[Int(place)]
    }

    func id(_ token: String) -> Int32? {
        id(codePoints(token)[...])
    }

    func text(_ id: Int32) -> Characters? {
        places[id].map(token)
    }

    /// Calls `take` with each token and its id.
    func forEach(_ take: (Characters, Int32) -> Void) {
        for place in ids.indices { take(token(place), ids[place]) }
    }

    private func token(_ place: Int) -> Characters {
        characters[(place == 0 ? 0 : ends[place - 1])..<ends[place]]
    }

    private func slot(_ wanted: Characters) -> Int {
        let mask = slots.count - 1
        var slot = Int(wordHash(wanted)) & mask
        while slots[slot] != -1 && token(Int(slots[slot])) != wanted { slot = (slot + 1) & mask }
        return slot
    }
}

func wordHash(_ characters: Characters) -> UInt32 {
    characters.withUnsafeBufferPointer { characters in
        var hash: UInt32 = 0
        for character in characters { hash = (hash ^ UInt32(bitPattern: character)) &* 0x9e37_79b1 }
        return hash ^ hash >> 15
    }
}
