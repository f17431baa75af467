let space: Int32 = 0x20

/// A part of an array of code points; the array itself isn't copied.
typealias Characters = ArraySlice<Int32>

/// The code points of `text`. A Swift string holds no half of a surrogate pair: of one in a bridged NSString it makes
/// U+FFFD.
func codePoints(_ text: String) -> [Int32] {
    var contiguous = text
    contiguous.makeContiguousUTF8() // so that a bridged NSString is decoded once
    var points: [Int32] = []
    points.reserveCapacity(contiguous.utf8.count)
    for scalar in contiguous.unicodeScalars { points.append(Int32(bitPattern: scalar.value)) }
    return points
}

/// The code points of UTF-8; nil where `bytes` aren't that.
func codePoints(utf8 bytes: some Collection<UInt8>) -> [Int32]? {
    let text = String(decoding: bytes, as: UTF8.self)
    return text.utf8.elementsEqual(bytes) ? codePoints(text) : nil
}

/// The string of `points`.
func text(of points: some Sequence<Int32>) -> String {
    var scalars = String.UnicodeScalarView()
    for point in points { scalars.append(UnicodeScalar(UInt32(bitPattern: point)) ?? "\u{fffd}") }
    return String(scalars)
}

/// How many bytes `character` takes in UTF-8.
func utf8Length(_ character: Int32) -> Int {
    character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4
}

/// Calls `take` with each byte of `character` in UTF-8.
@inline(__always)
func utf8Bytes(_ character: Int32, _ take: (Int) -> Void) {
    if character < 0x80 { return take(Int(character)) }
    let point = Int(character)
    var shift = 6 * (utf8Length(character) - 1)
    let mark: Int = 0xf00 >> (shift / 6 + 1) & 0xff
    take(mark | point >> shift)
    while shift > 0 {
        shift -= 6
        take(0x80 | point >> shift & 0x3f)
    }
}

/// Byte-level BPE writes each byte as one printable character: those that are printable in Latin-1 stand for
/// themselves, the others follow in order from U+0100 on.
let characterOfByte: [Int32] = {
    var next: Int32 = 0x100
    return (0..<256).map { (byte: Int32) -> Int32 in
        if 0x21...0x7e ~= byte || 0xa1...0xac ~= byte || byte >= 0xae { return byte }
        defer { next += 1 }
        return next
    }
}()
