package edgeformer.runtime.measuring

import java.io.File

private const val TICKS_PER_S = 100.0 // USER_HZ, the same on every Linux that Android and the JVM run on
private const val MAX_POLICIES = 32
private const val CPUFREQ = "/sys/devices/system/cpu/cpufreq"

/**
 * Seconds of processor time since the start: of all programs, of this one, and those that a hypervisor gave to others.
 */
internal class CpuSeconds(val atS: Double, val busyS: Double, val ownS: Double, val stolenS: Double)

/** Clock, governor and load of this device; what can't be read is null. */
internal class Monitor(private val clock: Clock) {
    private val policies = File(CPUFREQ).list().orEmpty().filter { it.startsWith("policy") }.sorted().take(MAX_POLICIES)
        .map { "$CPUFREQ/$it" }

    /** Of the fastest core; the kernel's unit is kHz. */
    fun clockMhz(): Double? =
        policies.mapNotNull { textOf("$it/scaling_cur_freq")?.toDoubleOrNull() }.filter { it > 0 }.maxOrNull()
            ?.div(1000)

    fun governor(): String? =
        policies.mapNotNull { textOf("$it/scaling_governor") }.distinct().sorted().joinToString().ifEmpty { null }

    fun loadAverage(): Double? = textOf("/proc/loadavg")?.substringBefore(' ')?.toDoubleOrNull()

    fun cpuSeconds(): CpuSeconds? {
        val all = textOf("/proc/stat")?.lineSequence()?.firstOrNull { it.startsWith("cpu ") } ?: return null
        // user nice system idle iowait irq softirq steal
        val ticks = all.split(' ').drop(1).mapNotNull { it.toLongOrNull() }
        val own =
            textOf("/proc/self/stat")?.substringAfterLast(')')?.trim()?.split(' ')?.mapNotNull { it.toLongOrNull() }
        if (ticks.size < 8 || own == null || own.size < 14) return null
        val busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]
        // behind the name: state, then numbers; user and system time, own and of children, are the 11th to 14th of
        // these
        return CpuSeconds(
            clock() / 1e9, busy / TICKS_PER_S, own.subList(10, 14).sum() / TICKS_PER_S, ticks[7] / TICKS_PER_S
        )
    }
}

/** Cores that other programs, or a hypervisor, kept busy between two looks; null below one second. */
internal fun otherCores(before: CpuSeconds?, after: CpuSeconds?): Double? {
    if (before == null || after == null || after.atS - before.atS < 1) return null
    val others = (after.busyS - before.busyS) - (after.ownS - before.ownS) + (after.stolenS - before.stolenS)
    return maxOf(0.0, others) / (after.atS - before.atS)
}
