package edgeformer.runtime.measuring

import kotlin.math.abs
import kotlin.math.sqrt

private const val MIN_WARMUP_RUNS = 10
private const val MAX_WARMUP_RUNS = 1_000 // once the least time has passed
private const val MAX_WARMUP_S = 30.0
private const val STEADY_CHANGE = 0.02 // of the rolling median, between one window and the next
private const val WINDOW_RUNS = 5
private const val MAX_WINDOW_RUNS = 500

/** Student's t, 97.5 % quantile, for 1, 2, … 9 degrees of freedom: more repeats than ten there never are. */
private val T_975 = doubleArrayOf(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

/** How the warm-up went; [settled] is false where it was cut off before the median stood still. */
internal class Warmup(val runs: Int, val settled: Boolean)

/**
 * Call [run] at least 10 times and for [minS] seconds, then until the median of the last tenth of the runs moves less
 * than 2 % from that of the tenth before; gives up after 30 s, or 1,000 runs once [minS] has passed.
 */
internal fun warmUp(run: () -> Unit, clock: Clock, minS: Double): Warmup {
    val latencies = ArrayList<Double>()
    val begin = clock()
    while (true) {
        val start = clock()
        run()
        val end = clock()
        latencies += (end - start) / 1e6
        val elapsedS = (end - begin) / 1e9
        if (latencies.size < MIN_WARMUP_RUNS || elapsedS < minS) continue
        if (isSteady(latencies)) return Warmup(latencies.size, true)
        if (elapsedS > MAX_WARMUP_S || latencies.size >= MAX_WARMUP_RUNS) return Warmup(latencies.size, false)
    }
}

private fun isSteady(latencies: List<Double>): Boolean {
    val window = maxOf(WINDOW_RUNS, latencies.size / 10).coerceAtMost(MAX_WINDOW_RUNS)
    val now = median(latencies.takeLast(window))
    val before = median(latencies.takeLast(2 * window).dropLast(window))
    return abs(now - before) <= STEADY_CHANGE * before
}

internal fun median(values: List<Double>): Double = percentile(values.sorted(), 50.0)

/** Interpolated linearly between the two nearest of [sorted], which has at least one value. */
internal fun percentile(sorted: List<Double>, percent: Double): Double {
    val place = percent / 100 * (sorted.size - 1)
    val low = sorted[place.toInt()]
    val high = sorted[minOf(place.toInt() + 1, sorted.size - 1)]
    return low + (high - low) * (place - place.toInt())
}

/** Standard deviation of the sample; null below two values. */
internal fun deviation(values: List<Double>): Double? {
    if (values.size < 2) return null
    val mean = values.average()
    return sqrt(values.sumOf { (it - mean) * (it - mean) } / (values.size - 1))
}

/** Of the mean of independent repeats; null below two. */
internal fun standardError(values: List<Double>): Double? = deviation(values)?.let { it / sqrt(values.size.toDouble()) }

/** Half the width of the 95 % interval of the mean of [repeats], Student's t; null below two. */
internal fun halfWidth(repeats: List<Double>): Double? =
    standardError(repeats)?.let { it * T_975[minOf(repeats.size - 2, T_975.size - 1)] }

/** (largest − smallest) / median of repeats; null below two, or where the median is 0. */
internal fun spread(repeats: List<Double>): Double? {
    if (repeats.size < 2) return null
    val middle = median(repeats)
    return if (middle > 0) (repeats.max() - repeats.min()) / middle else null
}
