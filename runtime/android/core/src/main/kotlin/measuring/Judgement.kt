package edgeformer.runtime.measuring

import java.util.Locale

private const val MAX_SPREAD = 0.05 // of the repeats' medians: beyond it the machine wasn't quiet
private const val MAX_CLOCK_DROP = 0.10
private const val MAX_OTHER_LOAD = 0.10 // of the cores
private const val NOTED_OTHER_LOAD = 0.03

/** Why a measurement doesn't count (empty: it does), and what a reader should know beside. */
internal class Verdict(val invalid: List<String>, val notes: List<String>)

internal fun judge(
    protocol: Protocol,
    warmup: Warmup,
    mediansMs: List<Double>,
    clock: CpuClock?,
    throttleEvents: List<String>,
    load: Load,
    failedSamples: Int = 0,
    sustained: Sustained? = null,
): Verdict {
    val invalid = ArrayList<String>()
    val notes = ArrayList<String>()
    val apart = spread(mediansMs)
    if (apart == null) {
        notes += "one repeat only, so it isn't known whether the machine was quiet"
    } else if (apart > MAX_SPREAD) {
        invalid += "the machine wasn't quiet: medians of the ${mediansMs.size} repeats lie ${percent(apart)} % apart" +
            ", at most 5 % is allowed"
    }
    lookAtLoad(load.otherCores, load.cores, "", invalid, notes)
    lookAtLoad(sustained?.otherCores, load.cores, " during the sustained run", invalid, notes)
    if (failedSamples > 0) notes += "$failedSamples readings of the meter failed and were left out"
    if (throttleEvents.isNotEmpty()) invalid += "the device throttled itself: ${throttleEvents.joinToString()}. Cool it"
    if (clock?.startMhz != null && clock.lowestMhz != null && 1 - clock.lowestMhz / clock.startMhz > MAX_CLOCK_DROP) {
        invalid += "the clock fell from ${clock.startMhz.toInt()} to ${clock.lowestMhz.toInt()} MHz during the run"
    }
    if (!warmup.settled) notes += "latency was still moving after ${warmup.runs} runs of warm-up"
    if (protocol == Protocol.QUICK) notes += "a quick look: measure by the standard protocol for figures to publish"
    return Verdict(invalid, notes)
}

private fun lookAtLoad(
    others: Double?,
    cores: Int,
    during: String,
    invalid: MutableList<String>,
    notes: MutableList<String>,
) {
    if (others == null) return
    val busy = "%.2f".format(Locale.ROOT, others)
    val told = "other programs, or a hypervisor, kept $busy of $cores cores busy$during"
    if (others > MAX_OTHER_LOAD * cores) invalid += "the machine wasn't quiet: $told"
    else if (others > NOTED_OTHER_LOAD * cores) notes += told
}

private fun percent(share: Double): String = "%.1f".format(Locale.ROOT, 100 * share)

/** A number for people. */
internal fun rounded(value: Double): String = "%.3g".format(Locale.ROOT, value)
