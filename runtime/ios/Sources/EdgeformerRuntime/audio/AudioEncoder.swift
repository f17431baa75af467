import Foundation

private let normalizeEpsilon = 1e-7 // added to the variance

/// Makes tensors of sounds; one a row, padded by itself.
struct AudioEncoder: Sendable {
    private let preprocess: AudioPreprocess

    init(_ preprocess: AudioPreprocess) {
        self.preprocess = preprocess
    }

    /// One sound, ready to run; its notes say what was done to it. Throws InputError for too short or too long a sound.
    func encode(_ sound: Sound) throws -> Encoded {
        var notes = sound.notes
        let (row, isCut) = try fitted(sound, &notes)
        return Encoded(feeds: try feeds(of: row), isTruncated: isCut, notes: notes)
    }

    /// The samples at the model's rate, at most so many as it looks at, and whether more were there.
    private func fitted(_ sound: Sound, _ notes: inout [String]) throws -> (row: [Float], isCut: Bool) {
        let rate = preprocess.rateHz
        var row = sound.samples
        var count = row.count
        if row.allSatisfy({ $0 == row[0] }) { notes.append("is silence: all its samples are \(row[0])") }
        if sound.rateHz != rate {
            notes.append("was resampled from \(sound.rateHz) Hz to \(rate) Hz")
            count = (count * rate + sound.rateHz - 1) / sound.rateHz
            if preprocess.longest == nil && count > Sound.maxSamples {
                throw InputError("sound: has \(count) samples at \(rate) Hz: cut it")
            }
            row = resample(row, from: sound.rateHz, to: rate, limit: preprocess.longest).map(Float.init)
        }
        if count < preprocess.shortest {
            let needed = preprocess.shortest
            throw InputError("sound: has \(count) samples at \(rate) Hz: the model takes at least \(needed)")
        }
        guard let limit = preprocess.longest, count > limit else { return (row, false) }
        let seconds = [count, limit].map { String(format: "%.2f", Double($0) / Double(rate)) }
        notes.append("was cut from \(seconds[0]) s to \(seconds[1]) s")
        return (Array(row.prefix(limit)), true)
    }

    private func feeds(of row: [Float]) throws -> [String: Tensor] {
        let samples = row.map(Double.init)
        if let settings = preprocess.logMel, settings.frames != nil { return try spectrum(samples, settings) }
        let size = max(preprocess.padToMax ? preprocess.maxSamples ?? 0 : 0, row.count)
        let padding = [Double](repeating: preprocess.paddingValue, count: size - row.count)
        if let settings = preprocess.logMel { return try spectrum(samples + padding, settings) }
        guard let mask = preprocess.mask else {
            return try [preprocess.input: tensor(normalized(samples + padding), [size])]
        }
        let flags = (0..<size).map { Int64($0 < row.count ? 1 : 0) }
        return try [
            preprocess.input: tensor(normalized(samples) + padding, [size]), mask: Tensor(flags, [1, size]),
        ]
    }

    private func spectrum(_ samples: [Double], _ settings: LogMel) throws -> [String: Tensor] {
        let (frames, values) = try logMel(samples, rateHz: preprocess.rateHz, settings: settings)
        let sides = settings.isFramesFirst ? [frames, settings.mels] : [settings.mels, frames]
        return try [preprocess.input: tensor(values, sides)]
    }

    private func tensor(_ values: [Double], _ sides: [Int]) throws -> Tensor {
        try Tensor(values.map(Float.init), [1] + sides)
    }

    private func normalized(_ values: [Double]) -> [Double] {
        guard preprocess.normalize else { return values }
        let count = Double(values.count)
        let mean = values.reduce(0, +) / count
        let variance = values.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) } / count
        return values.map { ($0 - mean) / (variance + normalizeEpsilon).squareRoot() }
    }
}
