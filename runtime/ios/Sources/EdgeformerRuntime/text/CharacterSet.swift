let codePointCount = 0x110000

/// A set of Unicode code points as a bit map: 136 kB, one look-up a test.
struct CharacterSet {
    private var bits = [UInt32](repeating: 0, count: codePointCount / 32)

    init() {}

    init(_ characters: some Sequence<Int32>) {
        for character in characters { add(character) }
    }

    func contains(_ character: Int32) -> Bool {
        bits[Int(character >> 5)] & Self.bit(character) != 0
    }

    /// Whether it has one of the code points from `first` on, a multiple of 32.
    func hasAny(from first: Int) -> Bool {
        bits[(first / 32)...].contains { $0 != 0 }
    }

    mutating func add(_ character: Int32) {
        bits[Int(character >> 5)] |= Self.bit(character)
    }

    mutating func remove(_ character: Int32) {
        bits[Int(character >> 5)] &= ~Self.bit(character)
    }

    /// Adds those of `range` that it lacks, and takes the others away.
    mutating func toggle(_ range: Range<Int32>) {
        change(range) { $0 ^ $1 }
    }

    mutating func add(_ range: Range<Int32>) {
        change(range) { $0 | $1 }
    }

    mutating func add(_ other: CharacterSet) {
        for index in bits.indices { bits[index] |= other.bits[index] }
    }

    /// The set of all others.
    func inverted() -> CharacterSet {
        var others = CharacterSet()
        for index in bits.indices { others.bits[index] = ~bits[index] }
        return others
    }

    /// 32 characters at a time: `operation` takes what is there and those of the range.
    private mutating func change(_ range: Range<Int32>, _ operation: (UInt32, UInt32) -> UInt32) {
        var first = range.lowerBound
        while first < range.upperBound {
            let end = min((first | 31) + 1, range.upperBound)
            let ones = UInt32.max >> UInt32(32 - (end - first))
            let index = Int(first >> 5)
            bits[index] = operation(bits[index], ones << UInt32(first & 31))
            first = end
        }
    }

    private static func bit(_ character: Int32) -> UInt32 {
        1 &<< UInt32(truncatingIfNeeded: character)
    }
}
