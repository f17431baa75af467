@testable import EdgeformerRuntime

/// The pixels of a PNG file of 8-bit RGBA, not interlaced: on Linux nothing decodes pictures.
func readPng(_ file: [UInt8]) throws -> Picture {
    func number(_ at: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(file[at + $1]) } }
    let (width, height) = (number(16), number(20))
    guard Array(file[24..<29]) == [8, 6, 0, 0, 0] else { throw InputError("picture: expected 8-bit RGBA") }
    var packed: [UInt8] = []
    var at = 8
    while at < file.count {
        let size = number(at)
        if Array(file[at + 4..<at + 8]) == Array("IDAT".utf8) { packed += file[at + 8..<at + 8 + size] }
        at += 12 + size
    }
    var (raw, blocks): ([UInt8], [[UInt8]]) = ([], [Array(packed.dropFirst(2))]) // zlib's header has two bytes
    try inflate({ blocks.popLast() ?? [] }, { raw += $0 })
    return try Picture(width: width, height: height, rgba: unfiltered(raw, width: width, height: height))
}

private func unfiltered(_ raw: [UInt8], width: Int, height: Int) -> [UInt8] {
    let stride = 4 * width
    var out = [UInt8](repeating: 0, count: height * stride)
    for y in 0..<height {
        for x in 0..<stride {
            let left = x < 4 ? 0 : Int(out[y * stride + x - 4])
            let up = y == 0 ? 0 : Int(out[(y - 1) * stride + x])
            let corner = x < 4 || y == 0 ? 0 : Int(out[(y - 1) * stride + x - 4])
            let before = [0, left, up, (left + up) / 2, paeth(left, up, corner)][Int(raw[y * (stride + 1)])]
            out[y * stride + x] = raw[y * (stride + 1) + 1 + x] &+ UInt8(before)
        }
    }
    return out
}

private func paeth(_ left: Int, _ up: Int, _ corner: Int) -> Int {
    let (a, b, c) = (abs(up - corner), abs(left - corner), abs(left + up - 2 * corner))
    return a <= b && a <= c ? left : b <= c ? up : corner
}
