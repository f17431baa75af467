private let maxSpread = 0.05 // of the repeats' medians: beyond it the machine wasn't quiet
private let maxClockDrop = 0.10
private let maxOtherLoad = 0.10 // of the cores
private let notedOtherLoad = 0.03

/// Why a measurement doesn't count (empty: it does), and what a reader should know beside.
struct Verdict: Sendable {
    var invalid: [String] = []
    var notes: [String] = []
}

func judge(
    _ protocol: MeasuringProtocol, _ warmup: Warmup, mediansMs: [Double], _ clock: CpuClock?, throttleEvents: [String],
    _ load: Load
) -> Verdict {
    var verdict = Verdict()
    if let apart = spread(mediansMs) {
        if apart > maxSpread {
            let medians = "medians of the \(mediansMs.count) repeats lie \(fixed(100 * apart, 1)) % apart"
            verdict.invalid.append("the machine wasn't quiet: \(medians), at most 5 % is allowed")
        }
    } else {
        verdict.notes.append("one repeat only, so it isn't known whether the machine was quiet")
    }
    if let others = load.otherCores {
        let told = "other programs, or a hypervisor, kept \(fixed(others, 2)) of \(load.cores) cores busy"
        let share = others / Double(load.cores)
        if share > maxOtherLoad {
            verdict.invalid.append("the machine wasn't quiet: \(told)")
        } else if share > notedOtherLoad {
            verdict.notes.append(told)
        }
    }
    if !throttleEvents.isEmpty {
        verdict.invalid.append("the device throttled itself: \(throttleEvents.joined(separator: ", ")). Cool it")
    }
    if let start = clock?.startMhz, let lowest = clock?.lowestMhz, 1 - lowest / start > maxClockDrop {
        verdict.invalid.append("the clock fell from \(Int(start)) to \(Int(lowest)) MHz during the run")
    }
    if !warmup.settled { verdict.notes.append("latency was still moving after \(warmup.runs) runs of warm-up") }
    if `protocol` == .quick {
        verdict.notes.append("a quick look: measure by the standard protocol for figures to publish")
    }
    return verdict
}
