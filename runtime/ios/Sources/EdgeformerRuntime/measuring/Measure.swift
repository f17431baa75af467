private let maxKept = 20_000 // latencies in a report: more are thinned out evenly

/// How long each part takes; a repeat lasts until `repeatRuns` and `repeatS` are both reached, or `repeatLimitS`.
public enum MeasuringProtocol: String, Sendable {
    /// For figures to publish, about 30 s.
    case standard

    /// For a first look, about 2 s.
    case quick

    var settleS: Double { self == .standard ? 0.4 : 0.02 }
    var idleS: Double { self == .standard ? 1 : 0.1 }
    var warmupS: Double { self == .standard ? 5 : 0.3 }
    var repeats: Int { self == .standard ? 5 : 3 }
    var repeatRuns: Int { self == .standard ? 20 : 10 }
    var repeatS: Double { self == .standard ? 4 : 0.3 }
    var repeatLimitS: Double { self == .standard ? 60 : 10 }
}

/// The device with the engine loaded and nothing to do.
struct Idle: Sendable {
    let durationS: Double
    let clockMhz: Double?
    let otherCores: Double?
}

/// One of the equal parts of the timed loop.
struct Repeat: Sendable {
    let runs: Int
    let durationS: Double
    let p50Ms: Double
}

/// Clock of the fastest core; start and lowest are looks behind the repeats.
struct CpuClock: Sendable {
    let governorBefore: String?
    let governorAfter: String?
    let idleMhz: Double?
    let startMhz: Double?
    let lowestMhz: Double?
}

/// What else ran: cores that other programs or a hypervisor kept busy during the timed loop.
struct Load: Sendable {
    let cores: Int
    let otherCores: Double?
    let loadAverageBefore: Double?
}

/// What a run of the protocol found. Every nil has a reason under its name in `reasons`.
struct Measurement: Sendable {
    let `protocol`: MeasuringProtocol
    let warmup: Warmup
    let latenciesMs: [Double]
    let keptEvery: Int
    let totalRuns: Int
    let durationS: Double
    let repeats: [Repeat]
    let p50Interval: (low: Double, high: Double)?
    let idleBefore: Idle
    let idleAfter: Idle
    let clock: CpuClock?
    let throttleSources: [String]
    let throttleEvents: [String]
    let load: Load
    let verdict: Verdict
    let reasons: [String: String]
}

/// What a measurement runs with: the clock, sleeping, and what tells of throttling.
struct Instruments: Sendable {
    var clock: Clock = { nanoseconds() }
    var sleep: @Sendable (_ seconds: Double) async throws -> Void = { seconds in
        try await Task.sleep(nanoseconds: UInt64(seconds * 1e9))
    }
    var throttles: [any ThrottleSource] = []
}

/// Measure `run`, one inference a call:
///
///     idle, engine loaded - warm-up until steady - equal repeats of a timed loop - idle again - judge
///
/// The protocol of the Python runtime without a meter. `runs` and `durationS` set the amount of all repeats together.
/// Raises InputError, CancellationError, and what `run` raises.
func measure(
    _ run: () throws -> Void, _ instruments: Instruments, _ protocol: MeasuringProtocol, runs: Int?, durationS: Double?
) async throws -> Measurement {
    var amounts = [Amount](repeating: Amount(
        leastRuns: `protocol`.repeatRuns, leastS: `protocol`.repeatS, giveUpS: `protocol`.repeatLimitS
    ), count: `protocol`.repeats)
    if runs != nil || durationS != nil { amounts = try shares(runs, durationS, `protocol`.repeats) }
    var bench = Bench(instruments: instruments, protocol: `protocol`)
    return try await bench.measured(run, amounts)
}

private struct Bench {
    let instruments: Instruments
    let `protocol`: MeasuringProtocol
    private let monitor: Monitor
    private var reasons: [String: String] = [:]
    private var events: Set<String> = []

    init(instruments: Instruments, protocol: MeasuringProtocol) {
        self.instruments = instruments
        self.protocol = `protocol`
        monitor = Monitor(clock: instruments.clock)
    }

    mutating func measured(_ run: () throws -> Void, _ amounts: [Amount]) async throws -> Measurement {
        let loadAverage = monitor.loadAverage()
        let before = try await idle("before")
        let governorBefore = monitor.governor()
        look()
        let warmup = try warmUp(run, instruments.clock, `protocol`.warmupS)
        let cpu = monitor.cpuSeconds()
        var clocks: [Double] = []
        var loops: [Timed] = []
        for amount in amounts {
            try Task.checkCancellation()
            loops.append(try timed(run, amount, instruments.clock))
            if let mhz = monitor.clockMhz() { clocks.append(mhz) }
            look()
        }
        let others = otherCores(cpu, monitor.cpuSeconds())
        let governorAfter = monitor.governor()
        let after = try await idle("after")
        if others == nil {
            reasons["load.other_cores"] =
                "the loop was shorter than 1 s, or this system counts no processor time for apps"
        }
        if loadAverage == nil { reasons["load.load_average_before"] = "this system doesn't tell apps its load" }
        if clocks.isEmpty { reasons["clock"] = "this system doesn't tell apps its clock" }
        let load = Load(cores: deviceFacts().cores, otherCores: others, loadAverageBefore: loadAverage)
        let clock = clocks.first.map {
            CpuClock(
                governorBefore: governorBefore, governorAfter: governorAfter, idleMhz: before.clockMhz, startMhz: $0,
                lowestMhz: clocks.min()
            )
        }
        return found(loops, warmup, before, after, clock, load)
    }

    private mutating func found(
        _ loops: [Timed], _ warmup: Warmup, _ before: Idle, _ after: Idle, _ clock: CpuClock?, _ load: Load
    ) -> Measurement {
        let latencies = loops.flatMap(\.latenciesMs)
        let step = max(1, (latencies.count + maxKept - 1) / maxKept)
        let medians = loops.map { median($0.latenciesMs) }
        let half = halfWidth(medians)
        if half == nil { reasons["p50_interval"] = "one repeat has no spread: measure more runs" }
        let middle = median(latencies)
        let sources = instruments.throttles.map(\.name)
        if sources.isEmpty { reasons["throttling"] = "nothing here tells of throttling; the clock and the repeats may" }
        let events = events.sorted()
        return Measurement(
            protocol: `protocol`,
            warmup: warmup,
            latenciesMs: stride(from: 0, to: latencies.count, by: step).map { latencies[$0] },
            keptEvery: step,
            totalRuns: latencies.count,
            durationS: loops.reduce(0) { $0 + $1.durationS },
            repeats: zip(loops, medians).map {
                Repeat(runs: $0.latenciesMs.count, durationS: $0.durationS, p50Ms: $1)
            },
            p50Interval: half.map { (max(0, middle - $0), middle + $0) },
            idleBefore: before,
            idleAfter: after,
            clock: clock,
            throttleSources: sources,
            throttleEvents: events,
            load: load,
            verdict: judge(`protocol`, warmup, mediansMs: medians, clock, throttleEvents: events, load),
            reasons: reasons
        )
    }

    private mutating func idle(_ name: String) async throws -> Idle {
        try await instruments.sleep(`protocol`.settleS)
        let cpu = monitor.cpuSeconds()
        let begin = instruments.clock()
        try await instruments.sleep(`protocol`.idleS)
        let seconds = Double(instruments.clock() - begin) / 1e9
        reasons["idle_\(name).watts"] = "there is no power reading"
        reasons["idle_\(name).temperature_c"] = "there is no thermometer"
        let others = otherCores(cpu, monitor.cpuSeconds())
        return Idle(durationS: seconds, clockMhz: monitor.clockMhz(), otherCores: others)
    }

    private mutating func look() {
        for source in instruments.throttles { events.formUnion(source.active()) }
    }
}
