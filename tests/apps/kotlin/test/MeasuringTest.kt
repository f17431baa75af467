package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.measuring.Amount
import edgeformer.runtime.measuring.CpuClock
import edgeformer.runtime.measuring.Load
import edgeformer.runtime.measuring.Protocol
import edgeformer.runtime.measuring.ThrottleSource
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
