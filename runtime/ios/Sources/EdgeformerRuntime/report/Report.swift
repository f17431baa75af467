private let reportVersion = 2

/// Latencies in ms; percentiles interpolate linearly. `stdev` is nil for a single run, `p99` below 1,000 runs.
public struct LatencySummary: Sendable {
    public let mean: Double
    public let stdev: Double?
    public let min: Double
    public let p50: Double
    public let p90: Double
    public let p95: Double
    public let p99: Double?
    public let max: Double

    init(of latenciesMs: [Double]) {
        let sorted = latenciesMs.sorted()
        mean = EdgeformerRuntime.mean(latenciesMs)
        stdev = deviation(latenciesMs)
        min = sorted[0]
        p50 = percentile(sorted, 50)
        p90 = percentile(sorted, 90)
        p95 = percentile(sorted, 95)
        p99 = sorted.count >= minRunsForP99 ? percentile(sorted, 99) : nil
        max = sorted[sorted.count - 1]
    }

    fileprivate var json: Json {
        [
            "mean": Json(mean), "stdev": Json(stdev), "min": Json(min), "p50": Json(p50), "p90": Json(p90),
            "p95": Json(p95), "p99": Json(p99), "max": Json(max),
        ]
    }
}

/// What a report says of bundle, engine and memory, beside what was measured.
struct ReportFacts: Sendable {
    let bundleName: String
    let bundleDigest: String
    let variant: String
    let engine: String
    let threads: Int
    let sequenceLength: Int?
    let loadMs: Double
    let firstInferenceMs: Double?
    let peakRssBytes: Int?
    let peakRssGrowthBytes: Int?
    let delegation: [String]
    let skipped: [String]
    let accuracy: Json
    let device: DeviceFacts
    let startedAt: String
    let runtimeVersion: String
    let reasons: [String: String]
}

/// One measurement of one variant on one device, in the form that `edgeformer report compare` reads.
public struct Report: Sendable {
    private let facts: ReportFacts
    private let found: Measurement
    public let latencyMs: LatencySummary

    /// Why the figures don't count; empty when they do.
    public let invalid: [String]

    init(_ facts: ReportFacts, _ found: Measurement) {
        self.facts = facts
        self.found = found
        latencyMs = LatencySummary(of: found.latenciesMs)
        let sharing = "\(facts.threads) threads share the \(found.load.cores) cores that this process may use"
        invalid = found.verdict.invalid + (facts.threads <= found.load.cores ? [] : [sharing])
    }

    public var runs: Int { found.totalRuns }
    public var throughputPerS: Double { Double(runs) / found.durationS }
    public var notes: [String] { found.verdict.notes }

    /// Why each figure that is null is: by the figure's name.
    public var reasons: [String: String] {
        var reasons = found.reasons.merging(facts.reasons) { $1 }.merging(always) { $1 }
        if latencyMs.p99 == nil { reasons["latency_ms.p99"] = "\(runs) runs, needs \(minRunsForP99)" }
        if latencyMs.stdev == nil { reasons["latency_ms.stdev"] = "one run has no spread" }
        return reasons
    }

    /// The report as one JSON object.
    public func toJson() -> String {
        guard case .object(var whole) = measured, case .object(let described) = described,
              case .object(let never) = neverMeasured
        else { preconditionFailure("a report is an object") }
        for (key, value) in described { _ = whole.append(key, value) }
        for (key, value) in never { _ = whole.append(key, value) }
        return jsonText(.object(whole))
    }

    private var measured: Json {
        let method = "95 %, Student's t on the medians of \(found.repeats.count) repeats"
        return [
            "protocol": Json(found.protocol.rawValue),
            "warmup_runs": Json(found.warmup.runs),
            "warmup_settled": Json(found.warmup.settled),
            "latencies_ms": Json(found.latenciesMs),
            "latencies_kept_every": Json(found.keptEvery),
            "total_runs": Json(found.totalRuns),
            "runs": Json(runs),
            "duration_s": Json(found.durationS),
            "latency_ms": latencyMs.json,
            "throughput_per_s": Json(throughputPerS),
            "repeats": .list(found.repeats.map(json)),
            "p50_interval": found.p50Interval.map {
                ["low": Json($0.low), "high": Json($0.high), "method": Json(method)]
            } ?? nil,
            "idle_before": json(found.idleBefore),
            "idle_after": json(found.idleAfter),
            "clock": found.clock.map(json) ?? nil,
            "throttling": ["sources": Json(found.throttleSources), "events": Json(found.throttleEvents), "earlier": []],
            "load": json(found.load),
            "invalid": Json(invalid),
            "valid": Json(invalid.isEmpty),
            "notes": Json(notes),
            "reasons": Json(reasons),
        ]
    }

    private var described: Json {
        [
            "bundle_name": Json(facts.bundleName),
            "bundle_digest": Json(facts.bundleDigest),
            "variant": Json(facts.variant),
            "engine": Json(facts.engine),
            "threads": Json(facts.threads),
            "batch_size": Json(1),
            "sequence_length": Json(facts.sequenceLength),
            "load_ms": Json(facts.loadMs),
            "first_inference_ms": Json(facts.firstInferenceMs),
            "peak_rss_bytes": Json(facts.peakRssBytes),
            "peak_rss_growth_bytes": Json(facts.peakRssGrowthBytes),
            "delegation": Json(facts.delegation),
            "skipped": Json(facts.skipped),
            "accuracy": facts.accuracy,
            "device": json(facts.device),
            "started_at": Json(facts.startedAt),
            "runtime_version": Json(facts.runtimeVersion),
        ]
    }
}

private let always = [
    "energy": "there is no power reading",
    "temperature_c": "this runtime reads no thermometer",
    "thermal": "this runtime reads no thermometer",
    "sustained": "this runtime has no sustained run yet",
    "sampling.overhead": "nothing is sampled beside the runs: the device is looked at between repeats",
    "sampling.interval_s": "there is no power meter",
]

#if canImport(Darwin)
private let noPower = "no meter: Apple's systems give apps no watts"
private let swift = "none: Swift on Apple's runtime"
#else
private let noPower = "no meter: this runtime reads none on Linux; edgeformer-run does"
private let swift = "none: Swift on Linux"
#endif

/// What this runtime never measures; a report's reasons say why.
private let neverMeasured: Json = [
    "report_version": Json(reportVersion),
    "temperature_c": nil,
    "thermal": nil,
    "energy": nil,
    "sustained": nil,
    "sampling": [
        "interval_s": nil, "overhead": nil, "overhead_low": nil, "overhead_high": nil, "turns": Json(0),
    ],
    "power": [
        "status": "unavailable", "family": "none", "watts": nil, "scope": nil, "rail": nil, "model": nil,
        "reason": Json(noPower), "looked_at": [],
    ],
]

private func json(_ it: Repeat) -> Json {
    ["runs": Json(it.runs), "duration_s": Json(it.durationS), "p50_ms": Json(it.p50Ms), "energy_mj": nil]
}

private func json(_ it: Idle) -> Json {
    [
        "duration_s": Json(it.durationS), "watts": nil, "watts_error": nil, "temperature_c": nil,
        "clock_mhz": Json(it.clockMhz), "other_cores": Json(it.otherCores),
    ]
}

private func json(_ it: CpuClock) -> Json {
    [
        "governor_before": Json(it.governorBefore), "governor_after": Json(it.governorAfter),
        "idle_mhz": Json(it.idleMhz), "start_mhz": Json(it.startMhz), "lowest_mhz": Json(it.lowestMhz),
    ]
}

private func json(_ it: Load) -> Json {
    [
        "cores": Json(it.cores), "other_cores": Json(it.otherCores), "load_average_before": Json(it.loadAverageBefore),
    ]
}

private func json(_ it: DeviceFacts) -> Json {
    [
        "machine": Json(it.machine), "system": Json(it.system), "device_model": Json(it.deviceModel),
        "cpu_model": Json(it.cpuModel), "cpu_features": Json(it.cpuFeatures), "logical_cores": Json(it.cores),
        "physical_cores": Json(it.physicalCores), "usable_cores": Json(it.cores),
        "memory_total_bytes": Json(it.memoryTotalBytes), "memory_available_bytes": Json(it.memoryAvailableBytes),
        "cpu_governor": Json(it.cpuGovernor), "cpu_clock_mhz": Json(it.cpuClockMhz),
        "cpu_max_clock_mhz": Json(it.cpuMaxClockMhz), "python": Json(swift),
    ]
}
