import Foundation

/// The log-mel spectrogram, in 64-bit floats: [frames, mels], or [mels, frames] where the layout says so. Steps and
/// formulas are FORMAT.md's, "Log-mel". Throws InputError for too short and too long a sound.
func logMel(_ samples: [Double], rateHz: Int, settings: LogMel) throws -> (frames: Int, values: [Double]) {
    if samples.count < settings.shortest {
        throw InputError("sound: has \(samples.count) samples at \(rateHz) Hz: expected at least \(settings.shortest)")
    }
    let (mels, length) = (settings.mels, settings.windowLength)
    let x = settings.reflect ? mirrored(samples, by: length / 2) : samples
    let whole = 1 + (x.count - length) / settings.hop - (settings.dropLastFrame ? 1 : 0)
    let made = min(whole, settings.frames ?? whole)
    if made * mels > LogMel.maxValues { throw InputError("sound: gives \(made) frames: cut it") }
    let filters = melFilters(settings, rateHz: rateHz)
    let window = hann(length, isSymmetric: settings.isWindowSymmetric)
    let fourier = Fourier(settings.nFft)
    var values: [Double] = []
    for t in 0..<made {
        let start = t * settings.hop
        let spectrum = fourier.powers(frame(Array(x[start..<start + length]), window: window, settings: settings))
        for filter in filters {
            let sum = filter.reduce(0.0) { $0 + $1.weight * spectrum[$1.bin] }
            let power = max(sum, settings.logFloor)
            values.append(settings.isLogNatural ? log(power) : log10(power))
        }
    }
    if let range = settings.range, let largest = values.max() { values = values.map { max($0, largest - range) } }
    let frames = settings.frames ?? made
    values += [Double](repeating: 0, count: (frames - made) * mels)
    values = values.map { ($0 - settings.mean) / settings.std }
    return (frames, settings.isFramesFirst ? values : transposed(values, rows: frames, columns: mels))
}

private func mirrored(_ x: [Double], by size: Int) -> [Double] {
    let last = x.count - 1
    return (-size..<x.count + size).map { x[abs($0) > last ? 2 * last - abs($0) : abs($0)] }
}

/// One frame, windowed and filled up to the transform's length.
private func frame(_ samples: [Double], window: [Double], settings: LogMel) -> [Double] {
    var y = samples
    if settings.removeOffset {
        let mean = y.reduce(0, +) / Double(y.count)
        y = y.map { $0 - mean }
    }
    if settings.preemphasis != 0 {
        for i in y.indices.reversed() { y[i] -= settings.preemphasis * y[max(i - 1, 0)] }
    }
    return zip(y, window).map { $0 * $1 } + [Double](repeating: 0, count: settings.nFft - y.count)
}

private func hann(_ length: Int, isSymmetric: Bool) -> [Double] {
    let turn = 2 * Double.pi / Double(isSymmetric ? length - 1 : length)
    return (0..<length).map { (i: Int) -> Double in 0.5 - 0.5 * cos(turn * Double(i)) }
}

/// Of each mel the bins that it takes, with their weights.
private func melFilters(_ settings: LogMel, rateHz: Int) -> [[(bin: Int, weight: Double)]] {
    let (scale, mels, last) = (settings.melScale, settings.mels, settings.nFft / 2)
    let (low, high) = (mel(ofHz: settings.minHz, scale), mel(ofHz: settings.maxHz, scale))
    let step = (high - low) / Double(mels + 1)
    let melPoints = (0...mels + 1).map { (i: Int) -> Double in low + step * Double(i) }
    let hzPoints = melPoints.map { hz(ofMel: $0, scale) }
    let points = settings.trianglesInMel ? melPoints : hzPoints
    let places = (0...last).map { (bin: Int) -> Double in
        if settings.trianglesInMel { return mel(ofHz: Double(bin * rateHz) / Double(2 * last), scale) }
        return Double(bin * (rateHz / 2)) / Double(last)
    }
    return (0..<mels).map { m in
        let (from, middle, to) = (points[m], points[m + 1], points[m + 2])
        let area = settings.areaNorm ? 2 / (hzPoints[m + 2] - hzPoints[m]) : 1
        return places.enumerated().compactMap { bin, place in
            let weight = area * min((place - from) / (middle - from), (to - place) / (to - middle))
            return weight > 0 ? (bin, weight) : nil
        }
    }
}

private let slaneyStep = log(6.4) / 27

private func mel(ofHz hz: Double, _ scale: LogMel.Scale) -> Double {
    switch scale {
    case .htk: return 2595 * log10(1 + hz / 700)
    case .kaldi: return 1127 * log(1 + hz / 700)
    case .slaney: return hz >= 1000 ? 15 + log(hz / 1000) / slaneyStep : 3 * hz / 200
    }
}

private func hz(ofMel mel: Double, _ scale: LogMel.Scale) -> Double {
    switch scale {
    case .htk: return 700 * (pow(10, mel / 2595) - 1)
    case .kaldi: return 700 * (exp(mel / 1127) - 1)
    case .slaney: return mel >= 15 ? 1000 * exp(slaneyStep * (mel - 15)) : 200 * mel / 3
    }
}

private func transposed(_ values: [Double], rows: Int, columns: Int) -> [Double] {
    values.indices.map { values[$0 % rows * columns + $0 / rows] }
}
