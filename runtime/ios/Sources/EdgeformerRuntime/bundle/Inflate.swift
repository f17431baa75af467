/// Unpacks what DEFLATE (RFC 1951) packed.
///
/// `read` gives the packed bytes block by block, empty at their end; `write` takes the unpacked ones in their order.
/// Raises InflateError, and what the two raise.
func inflate(_ read: @escaping () throws -> [UInt8], _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    var inflater = Inflater(bits: BitReader(read: read))
    try inflater.run(write)
}

/// Why packed bytes can't be unpacked.
struct InflateError: Error {
    let problem: String
}

private struct BitReader {
    let read: () throws -> [UInt8]
    private var block: [UInt8] = []
    private var at = 0
    private var buffer: UInt64 = 0
    private var count = 0 // of bits in the buffer

    init(read: @escaping () throws -> [UInt8]) { self.read = read }

    /// At least `needed` bits, at most 32, in the buffer, or as many as there are.
    @inline(__always)
    private mutating func fill(_ needed: Int) throws {
        while count < needed {
            if at == block.count {
                block = try read()
                at = 0
                if block.isEmpty { return }
            }
            buffer |= UInt64(block[at]) << UInt64(count)
            at += 1
            count += 8
        }
    }

    /// The next `width` bits; those behind the end are 0.
    @inline(__always)
    mutating func peek(_ width: Int) throws -> Int {
        try fill(width)
        return Int(buffer & (1 << UInt64(width) - 1))
    }

    @inline(__always)
    mutating func skip(_ width: Int) throws {
        if width > count { throw InflateError(problem: "ends too early") }
        buffer >>= UInt64(width)
        count -= width
    }

    @inline(__always)
    mutating func take(_ width: Int) throws -> Int {
        let bits = try peek(width)
        try skip(width)
        return bits
    }

    /// To the next whole byte.
    mutating func align() throws { try skip(count % 8) }
}

/// A Huffman code as a table: of the next bits to the symbol and its length; 0 where no symbol begins so.
private struct HuffmanTable {
    private let entries: [UInt16]
    private let width: Int

    /// Of the code's length for each symbol, 0 for one that doesn't occur. Raises InflateError for no code.
    init(_ lengths: ArraySlice<UInt8>, mayBeIncomplete: Bool) throws {
        var counts = [Int](repeating: 0, count: 16)
        for length in lengths { counts[Int(length)] += 1 }
        counts[0] = 0
        let used = counts.reduce(0, +)
        width = max(1, counts.lastIndex { $0 > 0 } ?? 0)
        var next = [Int](repeating: 0, count: 17)
        for length in 1...15 { next[length + 1] = (next[length] + counts[length]) << 1 }
        let free = 1 << 16 - next[16]
        // One symbol alone may have a code that leaves room, or there is none.
        if free < 0 || (free > 0 && !(mayBeIncomplete && (used == 0 || (used == 1 && counts[1] == 1)))) {
            throw InflateError(problem: "a code that is none")
        }
        var entries = [UInt16](repeating: 0, count: 1 << width)
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let code = next[Int(length)]
            next[Int(length)] += 1
            var reversed = 0 // bits come with the lowest first
            for bit in 0..<Int(length) where code >> bit & 1 == 1 { reversed |= 1 << (Int(length) - 1 - bit) }
            for place in stride(from: reversed, to: entries.count, by: 1 << Int(length)) {
                entries[place] = UInt16(symbol) << 4 | UInt16(length)
            }
        }
        self.entries = entries
    }

    @inline(__always)
    func symbol(_ bits: inout BitReader) throws -> Int {
        let entry = entries[try bits.peek(width)]
        if entry == 0 { throw InflateError(problem: "bits that are no symbol") }
        try bits.skip(Int(entry & 15))
        return Int(entry >> 4)
    }
}

private let historyBytes = 1 << 15
private let lengthBase = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
private let lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
private let distanceBase = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
]
private let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

private struct Inflater {
    var bits: BitReader
    private var window = [UInt8](repeating: 0, count: 2 * historyBytes)
    private var at = 0 // in the window
    private var isFull = false // the window once was

    init(bits: BitReader) { self.bits = bits }

    mutating func run(_ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        var isLast = false
        while !isLast {
            isLast = try bits.take(1) == 1
            switch try bits.take(2) {
            case 0: try stored(write)
            case 1: try packed(HuffmanTable(fixedLengths[...], mayBeIncomplete: false),
                               HuffmanTable([UInt8](repeating: 5, count: 32)[...], mayBeIncomplete: false), write)
            case 2:
                let (symbols, distances) = try tables()
                try packed(symbols, distances, write)
            default: throw InflateError(problem: "a block of a kind that is none")
            }
        }
        try flush(write)
    }

    private mutating func flush(_ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        try window.withUnsafeBytes { try write(UnsafeRawBufferPointer(rebasing: $0[..<at])) }
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        window[at] = byte
        at += 1
        if at == window.count {
            try flush(write)
            at = 0
            isFull = true
        }
    }

    private mutating func stored(_ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        try bits.align()
        let count = try bits.take(16)
        if try bits.take(16) != count ^ 0xffff { throw InflateError(problem: "a stored block with two lengths") }
        for _ in 0..<count { try put(UInt8(try bits.take(8)), write) }
    }

    private mutating func packed(
        _ symbols: HuffmanTable, _ distances: HuffmanTable, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        while true {
            let symbol = try symbols.symbol(&bits)
            if symbol == 256 { return }
            if symbol < 256 {
                try put(UInt8(symbol), write)
                continue
            }
            if symbol > 285 { throw InflateError(problem: "a length that is none") }
            let length = lengthBase[symbol - 257] + (try bits.take(lengthBits[symbol - 257]))
            let code = try distances.symbol(&bits)
            if code > 29 { throw InflateError(problem: "a distance that is none") }
            let distance = distanceBase[code] + (try bits.take(max(0, code / 2 - 1)))
            if distance > at && !isFull { throw InflateError(problem: "a distance beyond the beginning") }
            for _ in 0..<length { try put(window[(at - distance) & (window.count - 1)], write) }
        }
    }

    /// The two codes that a block brings along: of literals and lengths, and of distances.
    private mutating func tables() throws -> (HuffmanTable, HuffmanTable) {
        let symbols = try bits.take(5) + 257
        let distances = try bits.take(5) + 1
        if symbols > 286 || distances > 30 { throw InflateError(problem: "too many symbols") }
        var own = [UInt8](repeating: 0, count: 19)
        for place in lengthOrder.prefix(try bits.take(4) + 4) { own[place] = UInt8(try bits.take(3)) }
        let code = try HuffmanTable(own[...], mayBeIncomplete: false)
        var lengths: [UInt8] = []
        while lengths.count < symbols + distances {
            let symbol = try code.symbol(&bits)
            switch symbol {
            case 16:
                guard let last = lengths.last else { throw InflateError(problem: "a repetition of nothing") }
                lengths.append(contentsOf: [UInt8](repeating: last, count: try bits.take(2) + 3))
            case 17: lengths.append(contentsOf: [UInt8](repeating: 0, count: try bits.take(3) + 3))
            case 18: lengths.append(contentsOf: [UInt8](repeating: 0, count: try bits.take(7) + 11))
            default: lengths.append(UInt8(symbol))
            }
        }
        if lengths.count > symbols + distances { throw InflateError(problem: "a repetition beyond the end") }
        if lengths[256] == 0 { throw InflateError(problem: "a block without an end") }
        return (
            try HuffmanTable(lengths[..<symbols], mayBeIncomplete: true),
            try HuffmanTable(lengths[symbols...], mayBeIncomplete: true)
        )
    }
}

private let fixedLengths = [UInt8](repeating: 8, count: 144) + [UInt8](repeating: 9, count: 112)
    + [UInt8](repeating: 7, count: 24) + [UInt8](repeating: 8, count: 8)
