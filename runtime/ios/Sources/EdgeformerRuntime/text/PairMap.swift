private let empty: Int32 = -1

/// A map from two integers ≥ 0 to one ≥ 0: a hash table with open addressing.
struct PairMap {
    private struct Slot {
        var first = empty
        var second: Int32 = 0
        var value: Int32 = 0
    }

    private var slots: [Slot]
    private var count = 0

    /// `expected`: about how many pairs there will be.
    init(expected: Int) {
        var capacity = 16
        while capacity < expected * 2 { capacity *= 2 }
        slots = Array(repeating: Slot(), count: capacity)
    }

    /// The value, or -1.
    func value(_ first: Int32, _ second: Int32) -> Int32 {
        let slot = slots[place(first, second)]
        return slot.first == empty ? -1 : slot.value
    }

    mutating func set(_ first: Int32, _ second: Int32, _ value: Int32) {
        if count * 2 >= slots.count { grow() }
        let place = place(first, second)
        if slots[place].first == empty { count += 1 }
        slots[place] = Slot(first: first, second: second, value: value)
    }

    private func place(_ first: Int32, _ second: Int32) -> Int {
        let mask = slots.count - 1
        var hash = UInt32(bitPattern: first) &* 0x9e37_79b1 ^ UInt32(bitPattern: second) &* 0x85eb_ca6b
        hash ^= hash >> 15
        var place = Int(hash) & mask
        while slots[place].first != empty && (slots[place].first != first || slots[place].second != second) {
            place = (place + 1) & mask
        }
        return place
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 2)
        for slot in old where slot.first != empty { slots[place(slot.first, slot.second)] = slot }
    }
}
