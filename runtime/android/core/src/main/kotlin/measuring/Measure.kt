package edgeformer.runtime.measuring

import kotlin.math.max

private const val MAX_KEPT = 20_000 // latencies in a report: more are thinned out evenly

/** How long each part takes; a repeat lasts until [repeatRuns] and [repeatS] are both reached, or [repeatLimitS]. */
enum class Protocol(
    internal val text: String,
    internal val settleS: Double,
    internal val idleS: Double,
    internal val warmupS: Double,
    internal val repeats: Int,
    internal val repeatRuns: Int,
    internal val repeatS: Double,
    internal val repeatLimitS: Double,
) {
    /** For figures to publish, about 30 s. */
    STANDARD("standard", 0.4, 1.0, 5.0, 5, 20, 4.0, 60.0),

    /** For a first look, about 2 s. */
    QUICK("quick", 0.02, 0.1, 0.3, 3, 10, 0.3, 10.0),
}

/** The device with the engine loaded and nothing to do. */
data class Idle(val durationS: Double, val clockMhz: Double?, val otherCores: Double?)

/** One of the equal parts of the timed loop. */
data class Repeat(val runs: Int, val durationS: Double, val p50Ms: Double)

/** Clock of the fastest core; start and lowest are looks behind the repeats. */
data class CpuClock(
    val governorBefore: String?,
    val governorAfter: String?,
    val idleMhz: Double?,
    val startMhz: Double?,
    val lowestMhz: Double?,
)

/** What else ran: cores that other programs or a hypervisor kept busy during the timed loop. */
data class Load(val cores: Int, val otherCores: Double?, val loadAverageBefore: Double?)

/** What a run of the protocol found. Every null has a reason under its name in [reasons]. */
internal class Measurement(
    val protocol: Protocol,
    val warmup: Warmup,
    val latenciesMs: List<Double>,
    val keptEvery: Int,
    val totalRuns: Int,
    val durationS: Double,
    val repeats: List<Repeat>,
    val p50Interval: Pair<Double, Double>?,
    val idleBefore: Idle,
    val idleAfter: Idle,
    val clock: CpuClock?,
    val throttleSources: List<String>,
    val throttleEvents: List<String>,
    val load: Load,
    val verdict: Verdict,
    val reasons: Map<String, String>,
)

/** What a measurement runs with: the clock, sleeping, and what tells of throttling. */
internal class Instruments(
    val clock: Clock = System::nanoTime,
    val sleep: (Double) -> Unit = { Thread.sleep((it * 1000).toLong()) },
    val throttles: List<ThrottleSource> = emptyList(),
)

/**
 * Measure [run], one inference a call:
 *
 *     idle, engine loaded - warm-up until steady - equal repeats of a timed loop - idle again - judge
 *
 * The protocol of the Python runtime without a meter. [runs] and [durationS] set the amount of all repeats together.
 * Raises InputError, and what [run] raises.
 */
internal fun measure(
    run: () -> Unit,
    instruments: Instruments,
    protocol: Protocol,
    runs: Int?,
    durationS: Double?,
): Measurement {
    val usual = List(protocol.repeats) { Amount(protocol.repeatRuns, protocol.repeatS, protocol.repeatLimitS) }
    val amounts = if (runs == null && durationS == null) usual else shares(runs, durationS, protocol.repeats)
    return Bench(run, instruments, protocol).measured(amounts)
}

private class Bench(private val run: () -> Unit, private val instruments: Instruments, private val protocol: Protocol) {
    private val monitor = Monitor(instruments.clock)
    private val reasons = sortedMapOf<String, String>()
    private val events = sortedSetOf<String>()

    fun measured(amounts: List<Amount>): Measurement {
        val loadAverage = monitor.loadAverage()
        val before = idle("before")
        val governorBefore = monitor.governor()
        look()
        val warmup = warmUp(run, instruments.clock, protocol.warmupS)
        val cpu = monitor.cpuSeconds()
        val clocks = ArrayList<Double>()
        val loops = amounts.map { amount ->
            timed(run, amount, instruments.clock).also {
                monitor.clockMhz()?.let(clocks::add)
                look()
            }
        }
        val others = otherCores(cpu, monitor.cpuSeconds())
        val governorAfter = monitor.governor()
        val after = idle("after")
        if (others == null) {
            reasons["load.other_cores"] =
                "the loop was shorter than 1 s, or this system counts no processor time for apps"
        }
        val load = Load(Runtime.getRuntime().availableProcessors(), others, loadAverage)
        if (loadAverage == null) reasons["load.load_average_before"] = "this system doesn't tell apps its load"
        val clock = clockOf(before, clocks, governorBefore, governorAfter)
        return found(loops, warmup, before, after, clock, load)
    }

    private fun found(
        loops: List<Timed>,
        warmup: Warmup,
        before: Idle,
        after: Idle,
        clock: CpuClock?,
        load: Load,
    ): Measurement {
        val latencies = loops.flatMap { it.latenciesMs }
        val step = max(1, (latencies.size + MAX_KEPT - 1) / MAX_KEPT)
        val medians = loops.map { median(it.latenciesMs) }
        val half = halfWidth(medians)
        if (half == null) reasons["p50_interval"] = "one repeat has no spread: measure more runs"
        val middle = median(latencies)
        val sources = instruments.throttles.map { it.name }
        if (sources.isEmpty()) reasons["throttling"] = "nothing here tells of throttling; the clock and the repeats may"
        return Measurement(
            protocol = protocol,
            warmup = warmup,
            latenciesMs = latencies.filterIndexed { index, _ -> index % step == 0 },
            keptEvery = step,
            totalRuns = latencies.size,
            durationS = loops.sumOf { it.durationS },
            repeats = loops.mapIndexed { index, it -> Repeat(it.latenciesMs.size, it.durationS, medians[index]) },
            p50Interval = half?.let { max(0.0, middle - it) to middle + it },
            idleBefore = before,
            idleAfter = after,
            clock = clock,
            throttleSources = sources,
            throttleEvents = events.toList(),
            load = load,
            verdict = judge(protocol, warmup, medians, clock, events.toList(), load),
            reasons = reasons,
        )
    }

    private fun idle(name: String): Idle {
        instruments.sleep(protocol.settleS)
        val cpu = monitor.cpuSeconds()
        val begin = instruments.clock()
        instruments.sleep(protocol.idleS)
        val seconds = (instruments.clock() - begin) / 1e9
        reasons["idle_$name.watts"] = "there is no power reading"
        reasons["idle_$name.temperature_c"] = "there is no thermometer"
        return Idle(seconds, monitor.clockMhz(), otherCores(cpu, monitor.cpuSeconds()))
    }

    private fun look() = instruments.throttles.forEach { events += it.active() }

    private fun clockOf(
        before: Idle,
        clocks: List<Double>,
        governorBefore: String?,
        governorAfter: String?,
    ): CpuClock? {
        if (clocks.isEmpty()) reasons["clock"] = "this system doesn't tell apps its clock (no cpufreq)"
        return if (clocks.isEmpty()) null else CpuClock(
            governorBefore, governorAfter, before.clockMhz, clocks[0], clocks.min()
        )
    }
}
