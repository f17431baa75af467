import Foundation

/// Samples of about ±1, of one channel. `notes`: what was done to them, a sentence each.
public struct Sound: Sendable {
    static let maxSamples = 1 << 26 // of all channels together

    public let samples: [Float]
    public let rateHz: Int
    public let notes: [String]

    /// Throws InputError for no samples, too many, NaN, infinity, what isn't about ±1, and a rate that is none.
    public init(samples: [Float], rateHz: Int) throws {
        try self.init(samples, rateHz, notes: [])
    }

    /// The sound of a WAV file's bytes (PCM of 8 to 32 bits, or floats); its channels are averaged.
    ///
    /// Throws InputError for what is none, cut off, damaged or of another encoding.
    public init(wav: Data) throws {
        let bytes = Bytes([UInt8](wav))
        guard bytes.count >= 12, bytes.tag(0) == "RIFF", bytes.tag(8) == "WAVE" else {
            throw wrong("expected a WAV file (RIFF…WAVE)")
        }
        var header: Header?
        var at = 12
        var chunks = 0
        while at + 8 <= bytes.count {
            if chunks == 1000 { throw wrong("it has more than 1000 chunks") }
            let said = bytes.unsigned(at + 4, 4)
            let chunk = bytes.part(at + 8, min(said, bytes.count - at - 8))
            if bytes.tag(at) == "fmt " { header = try Header(chunk) }
            if bytes.tag(at) == "data" {
                guard let header else { throw wrong("its samples come before its header") }
                if said != unknownSize && said > chunk.count {
                    throw wrong("it says \(said) bytes of samples and holds \(chunk.count)")
                }
                let notes = header.channels > 1 ? ["\(header.channels) channels were averaged into one"] : []
                try self.init(try header.samples(of: chunk), header.rateHz, notes: notes)
                return
            }
            at += 8 + said + said % 2
            chunks += 1
        }
        throw wrong("it has no samples")
    }

    private init(_ samples: [Float], _ rateHz: Int, notes: [String]) throws {
        guard (1000...192_000).contains(rateHz) else {
            throw InputError("sound: a rate of \(rateHz) Hz: expected 1000 to 192000")
        }
        guard (1...Sound.maxSamples).contains(samples.count) else {
            throw InputError("sound: has \(samples.count) samples: expected 1 to \(Sound.maxSamples)")
        }
        if let odd = samples.first(where: { !(abs($0) <= 1000) }) {
            throw InputError("sound: a sample is \(odd): expected about ±1 (16 bits: divide by 32768)")
        }
        self.samples = samples
        self.rateHz = rateHz
        self.notes = notes
    }
}

private let unknownSize = 0xffff_ffff
private let guidTail: [UInt8] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]

private struct Header {
    let channels: Int
    let rateHz: Int
    private let width: Int // bytes of one sample
    private let read: (Bytes, Int) -> Double

    init(_ chunk: Bytes) throws {
        guard chunk.count >= 16 else { throw wrong("its header has less than 16 bytes") }
        var kind = chunk.unsigned(0, 2)
        if kind == 0xfffe {
            guard chunk.count >= 40 else { throw wrong("its extensible header has less than 40 bytes") }
            let isPlain = guidTail.indices.allSatisfy { chunk.unsigned(26 + $0, 1) == Int(guidTail[$0]) }
            if isPlain { kind = chunk.unsigned(24, 2) }
        }
        channels = chunk.unsigned(2, 2)
        rateHz = chunk.unsigned(4, 4)
        let bits = chunk.unsigned(14, 2)
        width = bits / 8
        switch (kind, bits) {
        case (1, 8): read = { bytes, at in Double(bytes.unsigned(at, 1) - 128) / 128 }
        case (1, 16): read = { bytes, at in Double(Int16(truncatingIfNeeded: bytes.unsigned(at, 2))) / 32768 }
        case (1, 24): read = { bytes, at in Double(Int32(truncatingIfNeeded: bytes.unsigned(at, 3) << 8)) / 0x1p31 }
        case (1, 32): read = { bytes, at in Double(Int32(truncatingIfNeeded: bytes.unsigned(at, 4))) / 0x1p31 }
        case (3, 32): read = { bytes, at in Double(Float(bitPattern: UInt32(bytes.unsigned(at, 4)))) }
        case (3, 64): read = { bytes, at in Double(bitPattern: bytes.bits64(at)) }
        default: throw wrong("encoding \(kind) of \(bits) bits: expected PCM of 8 to 32 bits, or floats")
        }
        guard (1...64).contains(channels) else { throw wrong("\(channels) channels: expected 1 to 64") }
        let block = chunk.unsigned(12, 2)
        guard block == channels * width else {
            throw wrong("its header says \(block) bytes for \(channels) channels of \(bits) bits")
        }
    }

    func samples(of chunk: Bytes) throws -> [Float] {
        guard chunk.count % (width * channels) == 0 else { throw wrong("its samples end within one") }
        guard chunk.count / width <= Sound.maxSamples else {
            throw wrong("it has more than \(Sound.maxSamples) samples")
        }
        return (0..<chunk.count / (width * channels)).map { frame in
            var sum = 0.0
            for channel in 0..<channels { sum += read(chunk, (frame * channels + channel) * width) }
            return Float(sum / Double(channels))
        }
    }
}

/// A part of a file; numbers are little-endian.
private struct Bytes {
    private let bytes: ArraySlice<UInt8>
    var count: Int { bytes.count }

    init(_ bytes: [UInt8]) {
        self.bytes = bytes[...]
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    func part(_ at: Int, _ size: Int) -> Bytes {
        Bytes(bytes[bytes.startIndex + at..<bytes.startIndex + at + size])
    }

    func tag(_ at: Int) -> String {
        String(decoding: part(at, 4).bytes, as: UTF8.self)
    }

    func unsigned(_ at: Int, _ size: Int) -> Int {
        var value = 0
        for index in 0..<size { value |= Int(bytes[bytes.startIndex + at + index]) << (8 * index) }
        return value
    }

    func bits64(_ at: Int) -> UInt64 {
        UInt64(unsigned(at, 4)) | UInt64(unsigned(at + 4, 4)) << 32
    }
}

private func wrong(_ problem: String) -> InputError {
    InputError("sound: \(problem): record or convert it again, as WAV")
}
