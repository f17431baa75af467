import Foundation

private let zeroCrossings = 10
private let kaiserBeta = 5.0

/// float64 [ceil(samples · target / rate)], at most `limit` of them: one windowed sinc; formulas are FORMAT.md's,
/// "Another rate".
func resample(_ x: [Float], from rate: Int, to target: Int, limit: Int?) -> [Double] {
    let common = divisor(rate, target)
    let (up, down) = (target / common, rate / common)
    let half = zeroCrossings * max(up, down)
    let h = filter(up: up, slower: max(up, down), half: half)
    let whole = (x.count * up + down - 1) / down
    return (0..<min(whole, limit ?? whole)).map { m in
        let place = m * down + half // h's index at x[0]
        let first = max(0, (place - 2 * half + up - 1) / up)
        let last = min(x.count - 1, place / up)
        var sum = 0.0
        for k in stride(from: first, through: last, by: 1) { sum += h[place - k * up] * Double(x[k]) }
        return sum
    }
}

private func filter(up: Int, slower: Int, half: Int) -> [Double] {
    let g = (-half...half).map { place -> Double in
        let t = Double(place) / Double(slower) * Double.pi
        let share = Double(place) / Double(half)
        let kaiser = bessel(kaiserBeta * (1 - share * share).squareRoot()) / bessel(kaiserBeta)
        return (t == 0 ? 1 : sin(t) / t) * kaiser
    }
    let sum = g.reduce(0, +)
    return g.map { Double(up) * $0 / sum }
}

/// I0 by its power series, to the last bit that counts.
private func bessel(_ x: Double) -> Double {
    var (sum, term, k) = (1.0, 1.0, 1.0)
    while term > sum * 1e-18 {
        term *= (x / (2 * k)) * (x / (2 * k))
        sum += term
        k += 1
    }
    return sum
}

private func divisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : divisor(b, a % b)
}
