import Dispatch

let minRunsForP99 = 1_000

/// Nanoseconds of a clock that never goes back.
typealias Clock = @Sendable () -> UInt64

func nanoseconds() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

/// When one repeat ends: at `mostRuns` or `mostS` where one is given, else at both least amounts, or at `giveUpS` after
/// 3 runs.
struct Amount: Sendable {
    var leastRuns = 1
    var leastS = 0.0
    var giveUpS = Double.infinity
    var mostRuns: Int?
    var mostS: Double?

    func isReached(_ runs: Int, _ elapsedS: Double) -> Bool {
        if mostRuns != nil || mostS != nil {
            return mostRuns.map { runs >= $0 } == true || (mostS.map { elapsedS >= $0 } == true && runs >= leastRuns)
        }
        return (runs >= leastRuns && elapsedS >= leastS) || (runs >= 3 && elapsedS >= giveUpS)
    }
}

/// A loop of calls: latencies in order, and what the loop took with all that lies between the calls.
struct Timed: Sendable {
    let latenciesMs: [Double]
    let durationS: Double
}

/// Call `run` until `amount` is reached, at least once.
func timed(_ run: () throws -> Void, _ amount: Amount, _ clock: Clock) rethrows -> Timed {
    var latencies: [Double] = []
    let begin = clock()
    while true {
        let start = clock()
        try run()
        let end = clock()
        latencies.append(Double(end - start) / 1e6)
        let elapsedS = Double(end - begin) / 1e9
        if amount.isReached(latencies.count, elapsedS) { return Timed(latenciesMs: latencies, durationS: elapsedS) }
    }
}

/// `runs` and `durationS` divided among `repeats`; fewer repeats where there are fewer runs. Raises InputError.
func shares(_ runs: Int?, _ durationS: Double?, _ repeats: Int) throws -> [Amount] {
    if let runs, runs < 1 { throw InputError("runs \(runs): expected an integer of at least 1") }
    if let durationS, !(durationS > 0 && durationS.isFinite) {
        throw InputError("duration \(durationS) s: expected a positive number of seconds")
    }
    let count = min(repeats, runs ?? repeats)
    let seconds = durationS.map { $0 / Double(count) }
    return (0..<count).map { index in
        Amount(mostRuns: runs.map { $0 / count + (index < $0 % count ? 1 : 0) }, mostS: seconds)
    }
}
