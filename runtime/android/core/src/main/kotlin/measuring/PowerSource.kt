package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError

/** An energy counter was read once, or too early: there is power as soon as it has counted on. */
class NotYetError(message: String) : SensorError(message)

/** Where watts come from: what a report says of them. */
interface PowerSource {
    /** The kind of sensor, as every runtime's reports name it: "battery", "android_odpm". */
    val family: String

    /** Whether the watts are an estimate by [model]; else they are measured. */
    val isEstimate: Boolean get() = false

    /** What the watts cover: "battery" (the whole device), "rails". */
    val scope: String

    /** Names of what is added up, with "+" between them. */
    val rail: String?

    /** Of an estimate: the formula and its error. */
    val model: String? get() = null

    /** One step of the converter in W; null where none is published. */
    val resolutionW: Double? get() = null

    /** Published gain error, 0.01 is 1 %; null where none is published. */
    val accuracyFraction: Double? get() = null

    /** Seconds between two new values: reading faster gives the same again. */
    val minIntervalS: Double

    /**
     * Power now in W, more than 0; of a counter the mean since the call before, whose first raises [NotYetError].
     *
     * Raises [SensorError] with the reason when there is no value: never a guess, never 0 for what is missing.
     */
    fun watts(): Double
}

/**
 * [watts] where something that runs can draw them: over 0, at most [limitW]. Raises [SensorError] that names [what].
 */
internal fun plausibleWatts(watts: Double, what: String, limitW: Double): Double {
    if (!watts.isFinite()) throw SensorError("$what: $watts isn't a power")
    if (watts <= 0) throw SensorError("$what: reads $watts W: the sensor is off, or it doesn't carry the load")
    if (watts > limitW) {
        throw SensorError("$what: reads $watts W, above $limitW W: the sensor is broken or its unit is another")
    }
    return watts
}
