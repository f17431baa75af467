package edgeformer.runtime.measuring

import edgeformer.runtime.InputError

internal const val MIN_RUNS_FOR_P99 = 1_000

/** Nanoseconds of a clock that never goes back. */
internal typealias Clock = () -> Long

/**
 * When one repeat ends: at [mostRuns] or [mostS] where one is given, else at both least amounts, or at [giveUpS] after
 * 3 runs.
 */
internal class Amount(
    val leastRuns: Int = 1,
    val leastS: Double = 0.0,
    val giveUpS: Double = Double.POSITIVE_INFINITY,
    val mostRuns: Int? = null,
    val mostS: Double? = null,
) {
    fun reached(runs: Int, elapsedS: Double): Boolean {
        if (mostRuns != null || mostS != null) {
            return (mostRuns != null && runs >= mostRuns) || (mostS != null && elapsedS >= mostS && runs >= leastRuns)
        }
        return (runs >= leastRuns && elapsedS >= leastS) || (runs >= 3 && elapsedS >= giveUpS)
    }
}

/** A loop of calls: latencies in order, when it began, and what it took with all that lies between the calls. */
internal class Timed(val latenciesMs: List<Double>, val beginS: Double, val durationS: Double) {
    val endS: Double get() = beginS + durationS
}

/** Call [run] until [amount] is reached, at least once. */
internal fun timed(run: () -> Unit, amount: Amount, clock: Clock): Timed {
    val latencies = ArrayList<Double>()
    val begin = clock()
    while (true) {
        val start = clock()
        run()
        val end = clock()
        latencies += (end - start) / 1e6
        val elapsedS = (end - begin) / 1e9
        if (amount.reached(latencies.size, elapsedS)) return Timed(latencies, begin / 1e9, elapsedS)
    }
}

/** [runs] and [durationS] divided among [repeats]; fewer repeats where there are fewer runs. Raises InputError. */
internal fun shares(runs: Int?, durationS: Double?, repeats: Int): List<Amount> {
    if (runs != null && runs < 1) throw InputError("runs $runs: expected an integer of at least 1")
    if (durationS != null && !(durationS > 0 && durationS.isFinite())) {
        throw InputError("duration $durationS s: expected a positive number of seconds")
    }
    val count = if (runs == null) repeats else minOf(repeats, runs)
    val seconds = durationS?.div(count)
    if (runs == null) return List(count) { Amount(mostS = seconds) }
    return List(count) { Amount(mostRuns = runs / count + (if (it < runs % count) 1 else 0), mostS = seconds) }
}
