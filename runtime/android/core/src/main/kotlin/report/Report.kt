package edgeformer.runtime.report

import edgeformer.runtime.measuring.CpuClock
import edgeformer.runtime.measuring.DeviceFacts
import edgeformer.runtime.measuring.Energy
import edgeformer.runtime.measuring.Idle
import edgeformer.runtime.measuring.Load
import edgeformer.runtime.measuring.MIN_RUNS_FOR_P99
import edgeformer.runtime.measuring.Measurement
import edgeformer.runtime.measuring.PowerReading
import edgeformer.runtime.measuring.Sustained
import edgeformer.runtime.measuring.Window
import edgeformer.runtime.measuring.deviation
import edgeformer.runtime.measuring.percentile

private const val REPORT_VERSION = 2

/** Latencies in ms; percentiles interpolate linearly. [stdev] is null for a single run, [p99] below 1,000 runs. */
data class LatencySummary(
    val mean: Double,
    val stdev: Double?,
    val min: Double,
    val p50: Double,
    val p90: Double,
    val p95: Double,
    val p99: Double?,
    val max: Double,
)

internal fun summarize(latenciesMs: List<Double>): LatencySummary {
    val sorted = latenciesMs.sorted()
    return LatencySummary(
        mean = latenciesMs.average(),
        stdev = deviation(latenciesMs),
        min = sorted.first(),
        p50 = percentile(sorted, 50.0),
        p90 = percentile(sorted, 90.0),
        p95 = percentile(sorted, 95.0),
        p99 = if (sorted.size >= MIN_RUNS_FOR_P99) percentile(sorted, 99.0) else null,
        max = sorted.last(),
    )
}

/** What a report says of bundle, engine and memory, beside what was measured. */
internal class ReportFacts(
    val bundleName: String,
    val bundleDigest: String,
    val variant: String,
    val engine: String,
    val threads: Int,
    val sequenceLength: Int?,
    val loadMs: Double,
    val firstInferenceMs: Double,
    val peakRssBytes: Long?,
    val peakRssGrowthBytes: Long?,
    val delegation: List<String>,
    val skipped: List<String>,
    val accuracy: Map<String, Any?>?,
    val device: DeviceFacts,
    val startedAt: String,
    val runtimeVersion: String,
    val reasons: Map<String, String>,
)

/** One measurement of one variant on one device, in the form that `edgeformer report compare` reads. */
class Report internal constructor(private val facts: ReportFacts, private val found: Measurement) {
    val latencyMs: LatencySummary = summarize(found.latenciesMs)
    val runs: Int get() = found.totalRuns
    val throughputPerS: Double get() = runs / found.durationS

    /** Why the figures don't count; empty when they do. */
    val invalid: List<String> =
        found.verdict.invalid + if (facts.threads <= found.load.cores) emptyList() else {
            listOf("${facts.threads} threads share the ${found.load.cores} cores that this process may use")
        }
    val notes: List<String> get() = found.verdict.notes

    /** Why each figure that is null is: by the figure's name. */
    val reasons: Map<String, String> = found.reasons + facts.reasons + mapOf(
        "sampling.overhead" to "only power is sampled beside the runs, at most once in 0.05 s: its cost isn't measured",
    ) + listOfNotNull(
        ("sampling.interval_s" to "there is no power meter").takeIf { found.intervalS == null },
        ("temperature_c" to (found.reasons["thermal"] ?: found.reasons["thermal.max_c"].orEmpty()))
            .takeIf { found.thermal?.maxC == null },
        ("latency_ms.p99" to "$runs runs, needs $MIN_RUNS_FOR_P99").takeIf { latencyMs.p99 == null },
        ("latency_ms.stdev" to "one run has no spread").takeIf { latencyMs.stdev == null },
    )

    /** The report as one JSON object. */
    fun toJson(): String = jsonText(measured() + sensed() + described())

    private fun measured(): Map<String, Any?> = mapOf(
        "protocol" to found.protocol.text,
        "warmup_runs" to found.warmup.runs,
        "warmup_settled" to found.warmup.settled,
        "latencies_ms" to found.latenciesMs,
        "latencies_kept_every" to found.keptEvery,
        "total_runs" to found.totalRuns,
        "runs" to runs,
        "duration_s" to found.durationS,
        "latency_ms" to json(latencyMs),
        "throughput_per_s" to throughputPerS,
        "repeats" to found.repeats.map {
            mapOf("runs" to it.runs, "duration_s" to it.durationS, "p50_ms" to it.p50Ms, "energy_mj" to it.energyMj)
        },
        "p50_interval" to found.p50Interval?.let {
            val method = "95 %, Student's t on the medians of ${found.repeats.size} repeats"
            mapOf("low" to it.first, "high" to it.second, "method" to method)
        },
        "idle_before" to json(found.idleBefore),
        "idle_after" to json(found.idleAfter),
        "clock" to found.clock?.let(::json),
        "throttling" to mapOf(
            "sources" to found.throttleSources, "events" to found.throttleEvents, "earlier" to emptyList<String>()
        ),
        "load" to json(found.load),
        "invalid" to invalid,
        "valid" to invalid.isEmpty(),
        "notes" to notes,
        "reasons" to reasons,
    )

    private fun sensed(): Map<String, Any?> = mapOf(
        "power" to json(found.power),
        "energy" to found.energy?.let(::json),
        "temperature_c" to found.thermal?.maxC,
        "thermal" to found.thermal?.let {
            mapOf("sensor" to it.sensor, "before_c" to it.beforeC, "max_c" to it.maxC, "after_c" to it.afterC)
        },
        "sustained" to found.sustained?.let(::json),
        "sampling" to mapOf(
            "interval_s" to found.intervalS, "overhead" to null, "overhead_low" to null, "overhead_high" to null,
            "turns" to 0,
        ),
    )

    private fun described(): Map<String, Any?> = mapOf(
        "report_version" to REPORT_VERSION,
        "bundle_name" to facts.bundleName,
        "bundle_digest" to facts.bundleDigest,
        "variant" to facts.variant,
        "engine" to facts.engine,
        "threads" to facts.threads,
        "batch_size" to 1,
        "sequence_length" to facts.sequenceLength,
        "load_ms" to facts.loadMs,
        "first_inference_ms" to facts.firstInferenceMs,
        "peak_rss_bytes" to facts.peakRssBytes,
        "peak_rss_growth_bytes" to facts.peakRssGrowthBytes,
        "delegation" to facts.delegation,
        "skipped" to facts.skipped,
        "accuracy" to facts.accuracy,
        "device" to json(facts.device),
        "started_at" to facts.startedAt,
        "runtime_version" to facts.runtimeVersion,
    )
}

private fun json(it: LatencySummary) = mapOf(
    "mean" to it.mean, "stdev" to it.stdev, "min" to it.min, "p50" to it.p50, "p90" to it.p90, "p95" to it.p95,
    "p99" to it.p99, "max" to it.max,
)

private fun json(it: Idle) = mapOf(
    "duration_s" to it.durationS, "watts" to it.watts, "watts_error" to it.wattsError,
    "temperature_c" to it.temperatureC, "clock_mhz" to it.clockMhz, "other_cores" to it.otherCores,
)

private fun json(it: PowerReading) = mapOf(
    "status" to it.status, "family" to it.family, "watts" to it.watts, "scope" to it.scope, "rail" to it.rail,
    "model" to it.model, "reason" to it.reason, "looked_at" to emptyList<Any>(),
)

private fun json(it: Energy) = mapOf(
    "method" to "sampled watts", "gross_mj" to it.grossMj, "gross_uncertainty_mj" to it.grossUncertaintyMj,
    "net_mj" to it.netMj, "net_uncertainty_mj" to it.netUncertaintyMj, "mean_w" to it.meanW,
    "mean_uncertainty_w" to it.meanUncertaintyW, "idle_w" to it.idleW, "idle_drift" to it.idleDrift,
    "samples" to it.samples, "failed_samples" to it.failedSamples, "rate_hz" to it.rateHz,
    "components_mj" to it.componentsMj, "sub_rails_w" to emptyMap<String, Any>(),
)

private fun json(it: Sustained) = mapOf(
    "windows" to it.windows.map(::json), "first_per_s" to it.firstPerS, "last_per_s" to it.lastPerS,
    "compared_s" to it.comparedS, "throttle_events" to it.throttleEvents, "other_cores" to it.otherCores,
)

private fun json(it: Window) = mapOf(
    "start_s" to it.startS, "duration_s" to it.durationS, "runs" to it.runs, "p50_ms" to it.p50Ms,
    "temperature_c" to it.temperatureC, "clock_mhz" to it.clockMhz, "watts" to it.watts, "throttles" to it.throttles,
)

private fun json(it: CpuClock) = mapOf(
    "governor_before" to it.governorBefore, "governor_after" to it.governorAfter, "idle_mhz" to it.idleMhz,
    "start_mhz" to it.startMhz, "lowest_mhz" to it.lowestMhz,
)

private fun json(it: Load) =
    mapOf("cores" to it.cores, "other_cores" to it.otherCores, "load_average_before" to it.loadAverageBefore)

private fun json(it: DeviceFacts) = mapOf(
    "machine" to it.machine, "system" to it.system, "device_model" to it.deviceModel, "cpu_model" to it.cpuModel,
    "cpu_features" to it.cpuFeatures, "logical_cores" to it.cores, "physical_cores" to null, "usable_cores" to it.cores,
    "memory_total_bytes" to it.memoryTotalBytes, "memory_available_bytes" to it.memoryAvailableBytes,
    "cpu_governor" to it.cpuGovernor, "cpu_clock_mhz" to it.cpuClockMhz, "cpu_max_clock_mhz" to it.cpuMaxClockMhz,
    "python" to "none: Kotlin on ${it.virtualMachine}",
)
