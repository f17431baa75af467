package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit

private const val LEAST_INTERVAL_S = 0.05
private const val LEAST_SAMPLES = 10
private const val MAX_FAILED = 0.1 // of the readings in the loop
private const val MAX_FAILURES = 20 // in a row: the source is given up
private const val MAX_GAP_INTERVALS = 5.0
private const val PARTS = 5
private const val STOP_TIMEOUT_MS = 5_000L

/** Watts of [source], sampled beside a measurement by the [clock] that latencies are taken from. */
internal class Recorder(val source: PowerSource, private val clock: Clock) {
    val intervalS = maxOf(LEAST_INTERVAL_S, source.minIntervalS)
    private val times = ArrayList<Double>()
    private val watts = ArrayList<Double>()
    private val failures = ArrayList<Pair<Double, String>>()
    private var failedInARow = 0

    /** Read once more; what fails is kept with its reason, and ends no benchmark. */
    fun tick() {
        if (failedInARow >= MAX_FAILURES) return
        val begin = clock()
        try {
            val value = source.watts()
            if (!(value >= 0 && value.isFinite())) throw SensorError("${source.family} gave $value")
            synchronized(this) {
                times += (begin + clock()) / 2e9
                watts += value
            }
            failedInARow = 0
        } catch (_: NotYetError) {
            // the next one has a value
        } catch (error: Exception) { // an app's source may raise anything
            synchronized(this) { failures += begin / 1e9 to (error.message ?: error.toString()) }
            failedInARow++
        }
    }

    /** Sample in a thread of its own while [work] runs, and never after it. */
    fun <T> beside(work: () -> T): T {
        val stop = CountDownLatch(1)
        val thread = Thread {
            do tick() while (!stop.await((intervalS * 1000).toLong(), TimeUnit.MILLISECONDS))
        }
        thread.isDaemon = true
        thread.start()
        try {
            return work()
        } finally {
            stop.countDown()
            thread.join(STOP_TIMEOUT_MS) // a reading that hangs must not hold the report back
        }
    }

    fun samples(beginS: Double, endS: Double): Int = synchronized(this) { times.count { it in beginS..endS } }

    fun failures(beginS: Double, endS: Double): List<String> =
        synchronized(this) { failures.filter { it.first in beginS..endS }.map { it.second } }

    /** Mean power in W between two times. Raises SensorError where the samples don't carry it: gaps, too few. */
    fun meanW(beginS: Double, endS: Double): Double {
        val inside = synchronized(this) { times.filter { it in beginS..endS } }
        val failed = failures(beginS, endS)
        val lastS = inside.lastOrNull()
        if (failedInARow >= MAX_FAILURES && (lastS == null || lastS < endS - MAX_GAP_INTERVALS * intervalS)) {
            throw SensorError("the meter stopped answering during the run: ${failures.last().second}")
        }
        if (failed.size > MAX_FAILED * (failed.size + inside.size)) {
            throw SensorError("${failed.size} of ${failed.size + inside.size} readings failed: ${failed.last()}")
        }
        if (inside.size < LEAST_SAMPLES) {
            throw SensorError(
                "${inside.size} readings in ${rounded(endS - beginS)} s, expected at least $LEAST_SAMPLES, one every " +
                    "${rounded(intervalS)} s: measure for longer"
            )
        }
        val gap = (listOf(beginS) + inside + endS).zipWithNext { one, next -> next - one }.max()
        if (gap > maxOf(MAX_GAP_INTERVALS * intervalS, 0.5)) {
            throw SensorError("the meter was silent for ${rounded(gap)} s during the run")
        }
        return joules(beginS, endS) / (endS - beginS)
    }

    /** Energy in J, unchecked: power is linear between samples, constant before the first and after the last. */
    fun joules(beginS: Double, endS: Double): Double = synchronized(this) {
        val edges = listOf(beginS) + times.filter { it > beginS && it < endS } + endS
        edges.zipWithNext { one, next -> (next - one) * (at(one) + at(next)) / 2 }.sum()
    }

    /** Standard error of the mean power, of equal parts: neighbouring samples aren't independent. */
    fun meanErrorW(beginS: Double, endS: Double): Double? {
        val step = (endS - beginS) / PARTS
        return standardError(List(PARTS) { joules(beginS + it * step, beginS + (it + 1) * step) / step })
    }

    private fun at(timeS: Double): Double {
        val next = times.indexOfFirst { it > timeS }
        if (next == 0) return watts[0]
        if (next == -1) return watts.last()
        val share = (timeS - times[next - 1]) / (times[next] - times[next - 1])
        return watts[next - 1] + (watts[next] - watts[next - 1]) * share
    }
}
