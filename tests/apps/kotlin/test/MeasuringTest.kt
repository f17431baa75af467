package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.Session
import edgeformer.runtime.SensorError
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.measuring.Amount
import edgeformer.runtime.measuring.Bench
import edgeformer.runtime.measuring.CpuClock
import edgeformer.runtime.measuring.Instruments
import edgeformer.runtime.measuring.Load
import edgeformer.runtime.measuring.Measurement
import edgeformer.runtime.measuring.PowerSource
import edgeformer.runtime.measuring.Protocol
import edgeformer.runtime.measuring.Recorder
import edgeformer.runtime.measuring.ThermalSource
import edgeformer.runtime.measuring.ThrottleSource
import edgeformer.runtime.measuring.Wanted
import edgeformer.runtime.measuring.Warmup
import edgeformer.runtime.measuring.judge
import edgeformer.runtime.measuring.shares
import edgeformer.runtime.measuring.timed
import edgeformer.runtime.measuring.warmUp
import edgeformer.runtime.report.summarize
import java.io.File
import kotlin.math.abs
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Measuring by a clock of our own, and real reports that the compiler's tools read. */
class MeasuringTest {
    private var now = 0L

    /** A run that takes so many ms of the test's clock. */
    private fun taking(vararg ms: Double): () -> Unit {
        var index = 0
        return { now += (ms[minOf(index++, ms.size - 1)] * 1e6).toLong() }
    }

    @Test
    fun repeatsEndByTheirAmount() {
        val clock = { now }
        assertEquals(20, timed(taking(1.0), Amount(leastRuns = 20, leastS = 0.005), clock).latenciesMs.size)
        assertEquals(50, timed(taking(1.0), Amount(leastRuns = 20, leastS = 0.05), clock).latenciesMs.size)
        assertEquals(3, timed(taking(900.0), Amount(leastRuns = 20, giveUpS = 1.0), clock).latenciesMs.size)
        assertEquals(7, timed(taking(1.0), Amount(mostRuns = 7), clock).latenciesMs.size)
        assertEquals(listOf(3, 2, 2), shares(7, null, 3).map { it.mostRuns })
        assertEquals(2, shares(2, null, 5).size)
        assertThrows(InputError::class.java) { shares(0, null, 5) }
        assertThrows(InputError::class.java) { shares(null, Double.NaN, 5) }
    }

    @Test
    fun warmingUpEndsWhenTheMedianStandsStill() {
        val falling = DoubleArray(15) { 100.0 - 5 * it } + DoubleArray(10) { 20.0 }
        val settled = warmUp(taking(*falling), { now }, 0.0)
        assertTrue(settled.settled && settled.runs in 20..25, "${settled.runs}")
        val never = warmUp(taking(*DoubleArray(2000) { 1.0 + it }), { now }, 0.0)
        assertFalse(never.settled)
    }

    @Test
    fun percentilesAreThoseOfNumpy() {
        val few = summarize(listOf(4.0, 1.0, 2.0, 3.0))
        assertClose(
            listOf(2.5, 3.7, 3.85, 1.0, 4.0), listOf(few.p50, few.p90, few.p95, few.min, few.max), "percentiles"
        )
        assertTrue(abs(few.stdev!! - 1.2909944487358056) < 1e-12)
        assertNull(few.p99)
        assertNull(summarize(listOf(1.0)).stdev)
        assertTrue(abs(summarize(List(1000) { it.toDouble() }).p99!! - 989.01) < 1e-9)
    }

    @Test
    fun aDisturbedMeasurementDoesntCount() {
        val quiet = Load(2, 0.01, 0.1)
        val steady = listOf(1.0, 1.01, 1.02)
        fun verdict(
            medians: List<Double> = steady,
            clock: CpuClock? = null,
            events: List<String> = emptyList(),
            load: Load = quiet,
            settled: Boolean = true,
        ) =
            judge(Protocol.STANDARD, Warmup(30, settled), medians, clock, events, load)
        assertEquals(emptyList<String>(), verdict().invalid + verdict().notes)
        assertTrue("medians of the 3 repeats" in verdict(medians = listOf(1.0, 1.0, 1.06)).invalid.single())
        assertTrue("kept 0.30 of 2 cores" in verdict(load = Load(2, 0.3, null)).invalid.single())
        assertTrue("kept 0.10 of 2 cores" in verdict(load = Load(2, 0.1, null)).notes.single())
        assertTrue("throttled itself: severe" in verdict(events = listOf("severe")).invalid.single())
        assertTrue(
            "fell from 2000 to 1500" in verdict(clock = CpuClock(null, null, null, 2000.0, 1500.0)).invalid.single()
        )
        assertTrue("still moving" in verdict(settled = false).notes.single())
        assertTrue("one repeat only" in verdict(medians = listOf(1.0)).notes.single())
    }

    @Test
    fun reportsAreComparedByTheCompilersTools(@TempDir folder: File) {
        val paths = listOf("text-classification", "image-classification").map { name ->
            Session.open(Conformance.bundle(name), SessionOptions(threads = 1)).use { session ->
                val report = session.benchmark(Protocol.QUICK)
                assertTrue(report.runs >= 30)
                File(folder, "$name.json").apply { writeText(report.toJson()) }.path
            }
        }
        val read = obj(readJson(File(paths[0]).readBytes()))
        assertEquals("unavailable", obj(read["power"])["status"])
        for (name in listOf("energy", "thermal", "sustained", "temperature_c", "accuracy", "latency_ms.p99")) {
            val value = if (name == "latency_ms.p99") obj(read["latency_ms"])["p99"] else read[name]
            if (value == null) assertTrue((obj(read["reasons"])[name] as String).isNotEmpty(), name)
        }
        val table = Python.run("-m", "edgeformer", "report", "compare", *paths.toTypedArray(), "--json")
        assertTrue("text-classification" in table && "image-classification" in table, table)
    }

    /** A battery of 2 W that draws 3 W while a run of 10 ms is on, by the test's clock. */
    private open class Battery(private val idle: Double = 2.0, private val drift: Double = 0.0) : PowerSource {
        var isBusy = false
        var reads = 0
        override val family = "battery"
        override val scope = "battery"
        override val rail = "battery"
        override val minIntervalS = 0.1

        override fun watts(): Double = (if (isBusy) 3.0 else idle) + drift * reads++
    }

    /** What [measure] finds by the test's clock, power read each 100 ms of it. */
    private fun measured(source: Battery, minutes: Double? = null): Measurement {
        lateinit var recorder: Recorder
        var next = 0L
        fun pass(seconds: Double) {
            val end = now + (seconds * 1e9).toLong()
            while (next <= end) {
                now = next
                recorder.tick()
                next += 100_000_000
            }
            now = end
        }
        recorder = Recorder(source, { now })
        val run = {
            source.isBusy = true
            pass(0.01)
            source.isBusy = false
        }
        val thermometer = object : ThermalSource {
            override val name = "cpu"

            override fun celsius() = if (now > 20e9) 200.0 else 41.5
        }
        val instruments = Instruments({ now }, ::pass, thermometer = thermometer, power = source)
        val usual = List(3) { Amount(10, 2.0) }
        val wanted = Wanted(sustainedMinutes = minutes)
        return Bench(run, instruments, Protocol.STANDARD, recorder, "").measured(usual, wanted)
    }

    @Test
    fun energyIsThatOfTheFormulas() {
        val found = measured(Battery())
        val energy = found.energy!!
        assertEquals(2.0, found.idleBefore.watts!!, 1e-9)
        assertEquals(3.0, energy.meanW, 0.02) // the looks between the repeats are idle
        assertEquals(30.0, energy.grossMj, 0.3)
        assertEquals(10.0, energy.netMj!!, 0.3)
        assertEquals("measured", found.power.status)
        assertEquals(setOf("resolution", "accuracy", "repeats", "ends", "idle"), energy.componentsMj.keys)
        assertTrue("resolution, accuracy: not published" in found.reasons.getValue("energy.components_mj"))
        assertEquals(41.5, found.thermal!!.maxC)
        assertEquals("not asked for", found.reasons["sustained"])
    }

    @Test
    fun energyThatCantBeKnownIsNullWithItsReason() {
        val drifting = measured(Battery(drift = 0.002))
        assertNull(drifting.energy!!.netMj)
        assertTrue("the idle power moved by" in drifting.reasons.getValue("energy.net_mj"))
        val silent = measured(object : Battery() {
            override fun watts(): Double = if (reads++ > 60) throw SensorError("asleep") else 2.0
        })
        assertNull(silent.energy)
        assertEquals("unavailable", silent.power.status)
        assertTrue("asleep" in silent.reasons.getValue("energy"), silent.reasons["energy"])
    }

    @Test
    fun aSustainedRunTellsFirstAndLast() {
        val lasting = measured(Battery(), minutes = 1.0).sustained!!
        assertEquals(60.0, lasting.windows.last().run { startS + durationS }, 0.1)
        assertEquals(100.0, lasting.firstPerS, 1.0)
        assertEquals(100.0, lasting.lastPerS, 1.0)
        assertEquals(20.0, lasting.comparedS, 0.1)
        assertEquals(3.0, lasting.windows[1].watts!!, 0.05)
        assertNull(lasting.windows[1].temperatureC)
    }

    @Test
    fun throttlingSpoilsAReport() {
        val hot = object : ThrottleSource {
            override val name = "thermal status"

            override fun active() = setOf("severe")
        }
        Session.open(Conformance.bundle("text-classification"), SessionOptions(threads = 1)).use { session ->
            val report = session.benchmark(Protocol.QUICK, runs = 6, sequenceLength = 5, throttles = listOf(hot))
            assertEquals(6, report.runs)
            assertTrue(report.invalid.any { "severe" in it })
            assertThrows(InputError::class.java) { session.benchmark(Protocol.QUICK, sequenceLength = 0) }
        }
    }
}
