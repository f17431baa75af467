import Foundation

/// The squared spectra of real frames of `n` samples: halves are split while they are even, odd rests summed.
struct Fourier {
    private let n: Int
    private var cosines: [Int: [Double]] = [:] // of each length that the split meets: one turn in so many steps
    private var sines: [Int: [Double]] = [:]

    init(_ n: Int) {
        self.n = n
        var size = n
        while size > 0 {
            let turn = 2 * Double.pi / Double(size)
            let angles: [Double] = (0..<size).map { Double($0) * turn }
            cosines[size] = angles.map { cos($0) }
            sines[size] = angles.map { sin($0) }
            size = size % 2 == 0 ? size / 2 : 0
        }
    }

    /// |Σ y[i]·e^(−2πj·i·b/n)|² for 0 ≤ b ≤ n/2.
    func powers(_ y: [Double]) -> [Double] {
        let (real, imaginary) = transform(y, start: 0, step: 1, size: n)
        return zip(real, imaginary).prefix(n / 2 + 1).map { (real: Double, imaginary: Double) -> Double in
            real * real + imaginary * imaginary
        }
    }

    /// The transform of the `size` numbers y[start], y[start + step], …
    private func transform(_ y: [Double], start: Int, step: Int, size: Int) -> (real: [Double], imaginary: [Double]) {
        var real = [Double](repeating: 0, count: size)
        var imaginary = real
        guard let cosine = cosines[size], let sine = sines[size] else { preconditionFailure("\(size) isn't of \(n)") }
        if size % 2 == 1 {
            for b in 0..<size {
                for i in 0..<size {
                    let value = y[start + i * step]
                    real[b] += value * cosine[i * b % size]
                    imaginary[b] -= value * sine[i * b % size]
                }
            }
            return (real, imaginary)
        }
        let half = size / 2
        let even = transform(y, start: start, step: 2 * step, size: half)
        let odd = transform(y, start: start + step, step: 2 * step, size: half)
        for b in 0..<half {
            let turnedReal = odd.real[b] * cosine[b] + odd.imaginary[b] * sine[b]
            let turnedImaginary = odd.imaginary[b] * cosine[b] - odd.real[b] * sine[b]
            real[b] = even.real[b] + turnedReal
            imaginary[b] = even.imaginary[b] + turnedImaginary
            real[b + half] = even.real[b] - turnedReal
            imaginary[b + half] = even.imaginary[b] - turnedImaginary
        }
        return (real, imaginary)
    }
}
