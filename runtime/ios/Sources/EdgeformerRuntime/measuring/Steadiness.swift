private let minWarmupRuns = 10
private let maxWarmupRuns = 1_000 // once the least time has passed
private let maxWarmupS = 30.0
private let steadyChange = 0.02 // of the rolling median, between one window and the next
private let windowRuns = 5
private let maxWindowRuns = 500

/// Student's t, 97.5 % quantile, for 1, 2, … 9 degrees of freedom: more repeats than ten there never are.
private let t975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]

/// How the warm-up went; `settled` is false where it was cut off before the median stood still.
struct Warmup: Sendable {
    let runs: Int
    let settled: Bool
}

/// Call `run` at least 10 times and for `minS` seconds, then until the median of the last tenth of the runs moves less
/// than 2 % from that of the tenth before; gives up after 30 s, or 1,000 runs once `minS` has passed.
func warmUp(_ run: () throws -> Void, _ clock: Clock, _ minS: Double) rethrows -> Warmup {
    var latencies: [Double] = []
    let begin = clock()
    while true {
        let start = clock()
        try run()
        let end = clock()
        latencies.append(Double(end - start) / 1e6)
        let elapsedS = Double(end - begin) / 1e9
        if latencies.count < minWarmupRuns || elapsedS < minS { continue }
        if isSteady(latencies) { return Warmup(runs: latencies.count, settled: true) }
        if elapsedS > maxWarmupS || latencies.count >= maxWarmupRuns {
            return Warmup(runs: latencies.count, settled: false)
        }
    }
}

private func isSteady(_ latencies: [Double]) -> Bool {
    let window = min(max(windowRuns, latencies.count / 10), maxWindowRuns)
    let now = median(Array(latencies.suffix(window)))
    let before = median(Array(latencies.suffix(2 * window).dropLast(window)))
    return abs(now - before) <= steadyChange * before
}

/// Of at least one value.
func median(_ values: [Double]) -> Double { percentile(values.sorted(), 50) }

/// Interpolated linearly between the two nearest of `sorted`, which has at least one value.
func percentile(_ sorted: [Double], _ percent: Double) -> Double {
    let place = percent / 100 * Double(sorted.count - 1)
    let low = sorted[Int(place)]
    let high = sorted[min(Int(place) + 1, sorted.count - 1)]
    return low + (high - low) * (place - place.rounded(.down))
}

/// Standard deviation of the sample; nil below two values.
func deviation(_ values: [Double]) -> Double? {
    if values.count < 2 { return nil }
    let mean = mean(values)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(values.count - 1)).squareRoot()
}

func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

/// Half the width of the 95 % interval of the mean of `repeats`, Student's t; nil below two.
func halfWidth(_ repeats: [Double]) -> Double? {
    deviation(repeats).map { $0 / Double(repeats.count).squareRoot() * t975[min(repeats.count - 2, t975.count - 1)] }
}

/// (largest − smallest) / median of repeats; nil below two, or where the median is 0.
func spread(_ repeats: [Double]) -> Double? {
    if repeats.count < 2 { return nil }
    let middle = median(repeats)
    return middle > 0 ? (repeats.max()! - repeats.min()!) / middle : nil
}
