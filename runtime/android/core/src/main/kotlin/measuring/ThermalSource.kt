package edgeformer.runtime.measuring

private val PLAUSIBLE_C = -40.0..130.0

/** A thermometer of the processor. */
interface ThermalSource {
    /** What is read, as a reader of the report knows it: "cpu-0-0". */
    val name: String

    /** Degrees Celsius now; null where there is no value. */
    fun celsius(): Double?
}

/** As [ThermalSource.celsius]; null also for what no chip in use can have: sensors that are off give -256 or 0xffff. */
internal fun ThermalSource.plausibleCelsius(): Double? = celsius()?.takeIf { it in PLAUSIBLE_C }

/**
 * What slows a device down, as an app can ask for it: on Android `PowerManager.getCurrentThermalStatus` (API 29), which
 * needs a Context. [name] says what is asked, [active] what slows it now, in words.
 */
interface ThrottleSource {
    val name: String

    fun active(): Set<String>
}
