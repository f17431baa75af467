package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError
import kotlin.math.max

private const val MAX_KEPT = 20_000 // latencies in a report: more are thinned out evenly
private const val METER_IDLE = 5 // times longer where a meter wants more
private const val IDLE_SAMPLES = 12 // of a slow meter that an idle baseline takes at least
private const val MAX_IDLE_S = 120.0

/** The steps of one measurement, and the looks at the device around its timed part. */
internal class Bench(
    private val run: () -> Unit,
    private val instruments: Instruments,
    private val protocol: Protocol,
    private val recorder: Recorder?,
    private val noPower: String,
) {
    private val clock = instruments.clock
    private val monitor = Monitor(clock)
    private val reasons = sortedMapOf<String, String>()
    private val events = sortedSetOf<String>()

    fun measured(amounts: List<Amount>, wanted: Wanted): Measurement {
        val loadAverage = monitor.loadAverage()
        val before = idle("before")
        val governorBefore = monitor.governor()
        look()
        val warmup = warmUp(run, clock, protocol.warmupS)
        val cpu = monitor.cpuSeconds()
        val looks = ArrayList<Look>()
        val loops = amounts.map { amount -> timed(run, amount, clock).also { looks += look() } }
        val others = otherCores(cpu, monitor.cpuSeconds())
        val governorAfter = monitor.governor()
        val after = idle("after")
        val lasting = wanted.sustainedMinutes?.let { sustain(run, 60 * it, clock, monitor, recorder, ::look) }
        if (lasting == null) reasons["sustained"] = "not asked for"
        if (others == null) {
            reasons["load.other_cores"] =
                "the loop was shorter than 1 s, or this system counts no processor time for apps"
        }
        if (loadAverage == null) reasons["load.load_average_before"] = "this system doesn't tell apps its load"
        return found(
            loops, warmup, before, after, lasting,
            clock = clockOf(before, looks, governorBefore, governorAfter),
            thermal = thermalOf(before, looks, after),
            load = Load(Runtime.getRuntime().availableProcessors(), others, loadAverage),
        )
    }

    private fun found(
        loops: List<Timed>,
        warmup: Warmup,
        before: Idle,
        after: Idle,
        lasting: Sustained?,
        clock: CpuClock?,
        thermal: Thermal?,
        load: Load,
    ): Measurement {
        val latencies = loops.flatMap { it.latenciesMs }
        val step = max(1, (latencies.size + MAX_KEPT - 1) / MAX_KEPT)
        val medians = loops.map { median(it.latenciesMs) }
        val half = halfWidth(medians)
        if (half == null) reasons["p50_interval"] = "one repeat has no spread: measure more runs"
        val middle = median(latencies)
        val sources = instruments.throttles.map { it.name }
        if (sources.isEmpty()) reasons["throttling"] = "nothing here tells of throttling; the clock and the repeats may"
        val (power, energy) = powerOf(loops, before, after)
        val throttled = events.toList()
        return Measurement(
            protocol = protocol,
            warmup = warmup,
            latenciesMs = latencies.filterIndexed { index, _ -> index % step == 0 },
            keptEvery = step,
            totalRuns = latencies.size,
            durationS = loops.sumOf { it.durationS },
            repeats = loops.mapIndexed { index, loop ->
                val runs = loop.latenciesMs.size
                val energyMj = energy?.let { 1e3 * recorder!!.joules(loop.beginS, loop.endS) / runs }
                Repeat(runs, loop.durationS, medians[index], energyMj)
            },
            p50Interval = half?.let { max(0.0, middle - it) to middle + it },
            power = power,
            energy = energy,
            intervalS = recorder?.intervalS,
            thermal = thermal,
            sustained = lasting,
            idleBefore = before,
            idleAfter = after,
            clock = clock,
            throttleSources = sources,
            throttleEvents = throttled,
            load = load,
            verdict = judge(protocol, warmup, medians, clock, throttled, load, energy?.failedSamples ?: 0, lasting),
            reasons = reasons,
        )
    }

    private fun idle(name: String): Idle {
        val factor = if (recorder == null) 1 else METER_IDLE
        val least = if (recorder == null) 0.0 else minOf(IDLE_SAMPLES * recorder.intervalS, MAX_IDLE_S)
        instruments.sleep(factor * protocol.settleS)
        val cpu = monitor.cpuSeconds()
        val beginS = clock() / 1e9
        instruments.sleep(max(factor * protocol.idleS, least))
        val endS = clock() / 1e9
        var watts: Double? = null
        try {
            watts = recorder?.meanW(beginS, endS)
            if (recorder == null) reasons["idle_$name.watts"] = "there is no power reading"
        } catch (error: SensorError) {
            reasons["idle_$name.watts"] = error.message.orEmpty()
        }
        val seen = look()
        if (seen.temperatureC == null) reasons["idle_$name.temperature_c"] = noTemperature()
        val error = watts?.let { recorder!!.meanErrorW(beginS, endS) }
        return Idle(
            endS - beginS, watts, error, seen.temperatureC, seen.clockMhz, otherCores(cpu, monitor.cpuSeconds())
        )
    }

    private fun look(): Look {
        val active = instruments.throttles.flatMap { it.active() }.toSet()
        events += active
        return Look(instruments.thermometer?.plausibleCelsius(), monitor.clockMhz(), active)
    }

    private fun noTemperature(): String =
        if (instruments.thermometer == null) "there is no thermometer"
        else "the thermometer gave no plausible temperature"

    private fun powerOf(loops: List<Timed>, before: Idle, after: Idle): Pair<PowerReading, Energy?> {
        if (recorder == null) {
            reasons["energy"] = "there is no power reading"
            return powerUnavailable("none", noPower) to null
        }
        return try {
            val energy = energyOf(recorder, loops, before, after, reasons)
            powerReading(recorder.source, energy.meanW) to energy
        } catch (error: SensorError) {
            reasons["energy"] = error.message.orEmpty()
            powerUnavailable(recorder.source.family, error.message.orEmpty()) to null
        }
    }

    private fun thermalOf(before: Idle, looks: List<Look>, after: Idle): Thermal? {
        val sensor = instruments.thermometer?.name
        if (sensor == null) {
            reasons["thermal"] = noTemperature()
            return null
        }
        val highest = looks.mapNotNull { it.temperatureC }.maxOrNull()
        val found = listOf("before_c" to before.temperatureC, "max_c" to highest, "after_c" to after.temperatureC)
        for ((name, value) in found) if (value == null) reasons["thermal.$name"] = noTemperature()
        return Thermal(sensor, before.temperatureC, highest, after.temperatureC)
    }

    private fun clockOf(
        before: Idle,
        looks: List<Look>,
        governorBefore: String?,
        governorAfter: String?,
    ): CpuClock? {
        val clocks = looks.mapNotNull { it.clockMhz }
        if (clocks.isNotEmpty()) {
            return CpuClock(governorBefore, governorAfter, before.clockMhz, clocks[0], clocks.min())
        }
        reasons["clock"] = "this system doesn't tell apps its clock (no cpufreq)"
        return null
    }
}
