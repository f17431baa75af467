#if canImport(CryptoKit)
import CryptoKit

/// SHA-256, fed part by part.
struct Sha256 {
    private var hash = CryptoKit.SHA256()

    mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }

    /// The digest in hexadecimal.
    func finished() -> String { hexadecimal(hash.finalize()) }
}
#else
/// SHA-256 (FIPS 180-4), fed part by part.
struct Sha256 {
    private var state: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
    private var rest: [UInt8] = [] // less than a block
    private var count: UInt64 = 0

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        count += UInt64(bytes.count)
        var at = 0
        if !rest.isEmpty {
            at = min(64 - rest.count, bytes.count)
            rest.append(contentsOf: bytes[0..<at])
            if rest.count < 64 { return }
            let block = rest
            block.withUnsafeBytes { hashBlocks($0) }
            rest.removeAll(keepingCapacity: true)
        }
        let whole = (bytes.count - at) / 64 * 64
        hashBlocks(UnsafeRawBufferPointer(rebasing: bytes[at..<at + whole]))
        rest.append(contentsOf: bytes[(at + whole)...])
    }

    /// The digest in hexadecimal.
    func finished() -> String {
        var copy = self
        var tail = rest + [0x80]
        tail.append(contentsOf: [UInt8](repeating: 0, count: (120 - tail.count) % 64))
        tail.append(contentsOf: bigEndian(count * 8))
        tail.withUnsafeBytes { copy.hashBlocks($0) }
        return hexadecimal(copy.state.flatMap(bigEndian))
    }

    private mutating func hashBlocks(_ blocks: UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
            roundConstants.withUnsafeBufferPointer { constants in
                state.withUnsafeMutableBufferPointer { state in
                    for start in stride(from: 0, to: blocks.count, by: 64) {
                        for word in 0..<16 {
                            let big = blocks.loadUnaligned(fromByteOffset: start + 4 * word, as: UInt32.self)
                            schedule[word] = UInt32(bigEndian: big)
                        }
                        hashBlock(schedule, constants, state)
                    }
                }
            }
        }
    }
}

/// One block, whose 16 words begin `w`.
@inline(__always)
private func hashBlock(
    _ w: UnsafeMutableBufferPointer<UInt32>,
    _ constants: UnsafeBufferPointer<UInt32>,
    _ state: UnsafeMutableBufferPointer<UInt32>
) {
    for t in 16..<64 {
        let (x, y) = (w[t - 15], w[t - 2])
        let low: UInt32 = rotated(x, 7) ^ rotated(x, 18) ^ (x >> 3)
        let high: UInt32 = rotated(y, 17) ^ rotated(y, 19) ^ (y >> 10)
        w[t] = w[t - 16] &+ low &+ w[t - 7] &+ high
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for t in 0..<64 {
        let choice: UInt32 = (e & f) ^ (~e & g)
        let first: UInt32 = h &+ (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) &+ choice &+ constants[t] &+ w[t]
        let majority: UInt32 = (a & b) ^ (a & c) ^ (b & c)
        let second: UInt32 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) &+ majority
        (h, g, f, e) = (g, f, e, d &+ first)
        (d, c, b, a) = (c, b, a, first &+ second)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
    state[5] &+= f
    state[6] &+= g
    state[7] &+= h
}

private func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
}

@inline(__always)
private func rotated(_ word: UInt32, _ by: UInt32) -> UInt32 { word >> by | word << (32 - by) }

private let roundConstants: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]
#endif

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// SHA-256 of `bytes` in hexadecimal.
func sha256(_ bytes: some Collection<UInt8>) -> String {
    var hash = Sha256()
    if bytes.withContiguousStorageIfAvailable({ hash.update(UnsafeRawBufferPointer($0)) }) == nil {
        Array(bytes).withUnsafeBytes { hash.update($0) }
    }
    return hash.finished()
}
