package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError
import kotlin.math.abs
import kotlin.math.sqrt

private const val COVERAGE = 2.0 // standard uncertainties in what is told behind ±
private const val MAX_IDLE_DRIFT = 0.05

/**
 * Energy of one inference over the timed loops: gross is all that the device took, net what it took more than idle.
 * [componentsMj]: the standard uncertainties that net is made of, null where the source publishes none.
 */
class Energy(
    val grossMj: Double,
    val grossUncertaintyMj: Double?,
    val netMj: Double?,
    val netUncertaintyMj: Double?,
    val meanW: Double,
    val meanUncertaintyW: Double?,
    val idleW: Double?,
    val idleDrift: Double?,
    val samples: Int,
    val failedSamples: Int,
    val rateHz: Double,
    val componentsMj: Map<String, Double?>,
)

/**
 * The formulas of the Python runtime's measuring/energy.py, by sampled watts. What is missing is told in [reasons].
 * Raises SensorError where there is no gross energy either.
 */
internal fun energyOf(
    recorder: Recorder,
    loops: List<Timed>,
    before: Idle,
    after: Idle,
    reasons: MutableMap<String, String>,
): Energy {
    val (beginS, endS) = loops.first().beginS to loops.last().endS
    recorder.meanW(beginS, endS) // refuses gaps, also those between the loops
    val durationS = loops.sumOf { it.durationS }
    val toMj = 1e3 * durationS / loops.sumOf { it.latenciesMs.size } // from mean watts to mJ an inference
    val meanW = loops.sumOf { recorder.joules(it.beginS, it.endS) } / durationS
    val source = recorder.source
    val means = loops.map { recorder.joules(it.beginS, it.endS) / it.durationS }
    val gross = mapOf(
        "resolution" to source.resolutionW?.let { it / sqrt(12.0) },
        "accuracy" to source.accuracyFraction?.let { it / sqrt(3.0) * meanW },
        "repeats" to (standardError(means) ?: recorder.meanErrorW(beginS, endS)),
        "ends" to 0.0,
    )
    val grossW = rootOfSquares(gross.values)
    val isGrossKnown = grossW > 1e-9 * meanW || null !in gross.values
    if (!isGrossKnown) {
        val why = "this sensor publishes neither resolution nor accuracy, and the repeats were alike"
        reasons["energy.gross_uncertainty_mj"] = why
        reasons["energy.mean_uncertainty_w"] = why
    }
    val idleW = if (before.watts == null || after.watts == null) null else (before.watts + after.watts) / 2
    val parts = if (idleW == null) emptyMap() else netParts(gross, source, meanW - idleW, before, after)
    val netUncertaintyMj = idleW?.let { COVERAGE * rootOfSquares(parts.values) * toMj }
    val unknown = parts.filterValues { it == null }.keys
    if (unknown.isNotEmpty()) {
        reasons["energy.components_mj"] =
            "${unknown.joinToString()}: not published for this sensor, so ± is a lower bound"
    }
    val drift = if (before.watts == null || after.watts == null) null else (after.watts - before.watts) / before.watts
    val netMj = idleW?.let { (meanW - it) * toMj }
    val whyNoNet = whyNoNet(netMj, netUncertaintyMj, drift)
    if (whyNoNet != null) reasons["energy.net_mj"] = whyNoNet
    val samples = recorder.samples(beginS, endS)
    return Energy(
        grossMj = meanW * toMj,
        grossUncertaintyMj = if (isGrossKnown) COVERAGE * grossW * toMj else null,
        netMj = if (whyNoNet == null) netMj else null,
        netUncertaintyMj = netUncertaintyMj.takeIf { drift != null && abs(drift) <= MAX_IDLE_DRIFT },
        meanW = meanW,
        meanUncertaintyW = if (isGrossKnown) COVERAGE * grossW else null,
        idleW = idleW,
        idleDrift = drift,
        samples = samples,
        failedSamples = recorder.failures(beginS, endS).size,
        rateHz = samples / (endS - beginS),
        componentsMj = parts.mapValues { (_, watts) -> watts?.let { it * toMj } },
    )
}

private fun netParts(
    gross: Map<String, Double?>,
    source: PowerSource,
    netW: Double,
    before: Idle,
    after: Idle,
): Map<String, Double?> = gross + mapOf(
    "resolution" to gross["resolution"]?.let { it * sqrt(2.0) }, // of both, loop and idle
    "accuracy" to source.accuracyFraction?.let { it / sqrt(3.0) * abs(netW) }, // a gain is common to both
    "idle" to rootOfSquares(
        listOf((before.wattsError ?: 0.0) / 2, (after.wattsError ?: 0.0) / 2, (after.watts!! - before.watts!!) / 2)
    ),
)

private fun whyNoNet(netMj: Double?, uncertaintyMj: Double?, drift: Double?): String? = when {
    netMj == null || uncertaintyMj == null || drift == null ->
        "the idle power isn't known: the meter gave none before or after the loop"
    abs(drift) > MAX_IDLE_DRIFT ->
        "the idle power moved by ${rounded(100 * drift)} %, at most 5 % is allowed: let the device settle, stop " +
            "other programs, and measure again"
    netMj < uncertaintyMj ->
        "not resolved: ${rounded(netMj)} mJ more than idle is within its uncertainty of ±${rounded(uncertaintyMj)} " +
            "mJ. Measure for longer, or a heavier model"
    else -> null
}

private fun rootOfSquares(values: Collection<Double?>): Double = sqrt(values.sumOf { (it ?: 0.0) * (it ?: 0.0) })

/** What a report says of power: watts, or the [reason] why there are none; never a guess. */
class PowerReading internal constructor(
    val status: String,
    val family: String,
    val watts: Double?,
    val scope: String?,
    val rail: String?,
    val model: String?,
    val reason: String?,
)

internal fun powerUnavailable(family: String, reason: String) =
    PowerReading("unavailable", family, null, null, null, null, reason)

internal fun powerReading(source: PowerSource, watts: Double) = PowerReading(
    if (source.isEstimate) "estimated" else "measured", source.family, watts, source.scope, source.rail, source.model,
    reason = null,
)

/** Why [source] can't be used now; null where it gives watts, or will as soon as its counter has moved. */
internal fun powerProblem(source: PowerSource): String? = try {
    source.watts()
    null
} catch (_: NotYetError) {
    null
} catch (error: SensorError) {
    "${source.family}: ${error.message}"
}
