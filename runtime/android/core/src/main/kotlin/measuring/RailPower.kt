package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError

private const val MAX_W = 60.0
private val BEHIND_ANOTHER = Regex("L\\d+[A-Z]_.*") // low-dropout regulators hang on a rail that is counted already

/** One rail's counter: energy in µWs at [atMs] of the monitor's own clock. */
class RailEnergy(val atMs: Long, val microwattSeconds: Long)

/**
 * Rails of the on-device power monitor (Pixel 6 and later; `PowerMonitor` since API 35), added up. [read] gives all
 * rails by name. Regulators behind another one (L1M_…) are left out of the sum.
 *
 * Android gives an app values that are up to 30 s old, with noise of up to 10 J, 0.2 J on average: so there is power
 * over minutes, by the monitor's own clock, and no energy between two moments.
 *
 * Raises SensorError when there is no rail to add.
 */
class RailPower(private val read: () -> Map<String, RailEnergy>) : PowerSource {
    override val family = "android_odpm"
    override val scope = "rails"
    override val minIntervalS = 30.0 // Android keeps values for an app that long
    private val rails = read().keys.filterNot(BEHIND_ANOTHER::matches).sorted()
    override val rail = rails.joinToString("+")
    private var last: Map<String, RailEnergy>? = null

    init {
        if (rails.isEmpty()) throw SensorError("android_odpm: only rails behind other rails are enabled, or none")
    }

    override fun watts(): Double {
        val before = last
        last = null
        val now = current()
        last = now
        if (before == null) throw NotYetError("android_odpm: first read of the counters; the next one gives the power")
        if (rails.any { now.getValue(it).atMs == before.getValue(it).atMs }) {
            last = before
            throw NotYetError("android_odpm: the monitor has no newer values yet")
        }
        return plausibleWatts(rails.sumOf { mean(it, before.getValue(it), now.getValue(it)) }, "android_odpm", MAX_W)
    }

    private fun current(): Map<String, RailEnergy> {
        val found = read()
        val missing = rails.filter { it !in found }
        if (missing.isEmpty()) return found
        throw SensorError("android_odpm: rails ${missing.joinToString()} are gone: were others enabled meanwhile?")
    }

    private fun mean(name: String, before: RailEnergy, now: RailEnergy): Double {
        val ms = now.atMs - before.atMs
        val energy = now.microwattSeconds - before.microwattSeconds
        if (ms < 0 || energy < 0) {
            throw SensorError("android_odpm: $name went back by $ms ms or $energy µWs: it started anew")
        }
        return energy / ms.toDouble() / 1e3
    }
}
