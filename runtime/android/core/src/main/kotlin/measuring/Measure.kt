package edgeformer.runtime.measuring

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

/** The device with the engine loaded and nothing to do; [wattsError] is the standard error of the mean. */
class Idle(
    val durationS: Double,
    val watts: Double?,
    val wattsError: Double?,
    val temperatureC: Double?,
    val clockMhz: Double?,
    val otherCores: Double?,
)

/** One of the equal parts of the timed loop; [energyMj]: gross, an inference. */
class Repeat(val runs: Int, val durationS: Double, val p50Ms: Double, val energyMj: Double?)

/** The processor's temperature: in the idle time before, the highest behind a repeat, in the idle time after. */
class Thermal(val sensor: String, val beforeC: Double?, val maxC: Double?, val afterC: Double?)

/** Clock of the fastest core; start and lowest are looks behind the repeats. */
class CpuClock(
    val governorBefore: String?,
    val governorAfter: String?,
    val idleMhz: Double?,
    val startMhz: Double?,
    val lowestMhz: Double?,
)

/** What else ran: cores that other programs or a hypervisor kept busy during the timed loop. */
class Load(val cores: Int, val otherCores: Double?, val loadAverageBefore: Double?)

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
    val power: PowerReading,
    val energy: Energy?,
    val intervalS: Double?,
    val thermal: Thermal?,
    val sustained: Sustained?,
    val idleBefore: Idle,
    val idleAfter: Idle,
    val clock: CpuClock?,
    val throttleSources: List<String>,
    val throttleEvents: List<String>,
    val load: Load,
    val verdict: Verdict,
    val reasons: Map<String, String>,
)

/** What a measurement runs with: the clock, sleeping, and the sensors that the app has. */
internal class Instruments(
    val clock: Clock = System::nanoTime,
    val sleep: (Double) -> Unit = { Thread.sleep((it * 1000).toLong()) },
    val throttles: List<ThrottleSource> = emptyList(),
    val thermometer: ThermalSource? = null,
    val power: PowerSource? = null,
)

/** [runs] and [durationS] set the amount of all repeats together, [sustainedMinutes] adds a long run at the end. */
internal class Wanted(
    val protocol: Protocol = Protocol.STANDARD,
    val runs: Int? = null,
    val durationS: Double? = null,
    val sustainedMinutes: Double? = null,
)

/**
 * Measure [run], one inference a call:
 *
 *     idle, engine loaded - warm-up until steady - equal repeats of a timed loop - idle again - sustained - judge
 *
 * The protocol of the Python runtime. Power is sampled beside it; the other sensors are looked at behind each repeat,
 * and one that fails makes its figures unavailable and nothing else. Raises InputError, and what [run] raises.
 */
internal fun measure(run: () -> Unit, instruments: Instruments, wanted: Wanted): Measurement {
    val protocol = wanted.protocol
    checkMinutes(wanted.sustainedMinutes)
    val usual = List(protocol.repeats) { Amount(protocol.repeatRuns, protocol.repeatS, protocol.repeatLimitS) }
    val amounts =
        if (wanted.runs == null && wanted.durationS == null) usual
        else shares(wanted.runs, wanted.durationS, protocol.repeats)
    val problem = instruments.power?.let(::powerProblem)
    val source = instruments.power.takeIf { problem == null }
    val recorder = source?.let { Recorder(it, instruments.clock) }
    val bench = Bench(run, instruments, protocol, recorder, problem ?: "the app gave no source of power")
    if (recorder == null) return bench.measured(amounts, wanted)
    return recorder.beside { bench.measured(amounts, wanted) }
}
