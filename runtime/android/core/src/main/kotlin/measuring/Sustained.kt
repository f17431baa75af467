package edgeformer.runtime.measuring

import edgeformer.runtime.InputError
import edgeformer.runtime.SensorError

private const val WINDOW_S = 10.0
private const val COMPARED_S = 60.0 // of the begin and of the end

/** One stretch of a sustained run, from [startS] after its begin. */
class Window(
    val startS: Double,
    val durationS: Double,
    val runs: Int,
    val p50Ms: Double,
    val temperatureC: Double?,
    val clockMhz: Double?,
    val watts: Double?,
    val throttles: List<String>,
)

/** Throughput over minutes of uninterrupted work: of the first and the last [comparedS], of all [windows] between. */
class Sustained(
    val windows: List<Window>,
    val firstPerS: Double,
    val lastPerS: Double,
    val comparedS: Double,
    val throttleEvents: List<String>,
    val otherCores: Double?,
)

/** What is looked at behind each window, and behind each repeat. */
internal class Look(val temperatureC: Double?, val clockMhz: Double?, val throttles: Set<String>)

/** Raises InputError unless [minutes] are a positive time. */
internal fun checkMinutes(minutes: Double?) {
    if (minutes != null && !(minutes > 0 && minutes.isFinite())) {
        throw InputError("sustained: $minutes minutes: expected a positive number")
    }
}

/** Call [run] for [seconds], in windows of 10 s, or a tenth of the time where that is less. */
internal fun sustain(
    run: () -> Unit,
    seconds: Double,
    clock: Clock,
    monitor: Monitor,
    recorder: Recorder?,
    look: () -> Look,
): Sustained {
    val cpu = monitor.cpuSeconds()
    val beginS = clock() / 1e9
    val windows = ArrayList<Window>()
    while (clock() / 1e9 - beginS < seconds) {
        val loop = timed(run, Amount(leastRuns = 1, leastS = minOf(WINDOW_S, seconds / 10)), clock)
        val seen = look()
        val watts = try {
            recorder?.meanW(loop.beginS, loop.endS)
        } catch (_: SensorError) { // this window has none; the others may
            null
        }
        windows += Window(
            loop.beginS - beginS, loop.durationS, loop.latenciesMs.size, median(loop.latenciesMs), seen.temperatureC,
            seen.clockMhz, watts, seen.throttles.sorted(),
        )
    }
    val totalS = windows.last().run { startS + durationS }
    val comparedS = minOf(COMPARED_S, totalS / 3)
    return Sustained(
        windows = windows,
        firstPerS = rate(windows.filter { it.startS < comparedS }.ifEmpty { windows.take(1) }),
        lastPerS = rate(windows.filter { it.startS + it.durationS > totalS - comparedS }),
        comparedS = comparedS,
        throttleEvents = windows.flatMap { it.throttles }.distinct().sorted(),
        otherCores = otherCores(cpu, monitor.cpuSeconds()),
    )
}

private fun rate(windows: List<Window>): Double = windows.sumOf { it.runs } / windows.sumOf { it.durationS }
