package edgeformer.runtime.measuring

import edgeformer.runtime.SensorError

private const val MIN_W = 0.02 // no device that computes draws less: it is mA, read as µA
private const val MAX_W = 60.0 // no phone or tablet draws more

/** What a battery's gauge says at one time, in its own units. */
class BatteryState(
    /** Whether the system says that the battery is being discharged; "full" and "not charging" are not. */
    val isDischarging: Boolean,
    val isPluggedIn: Boolean,
    val current: Double?,
    val volts: Double?,
)

/** How a maker's gauge is read, which no value tells: its unit of current, and the sign that discharging has. */
enum class BatteryGauge(internal val ampere: Double) {
    /** Android's documentation: µA, negative while discharging. */
    MICROAMPERE_NEGATIVE(-1e-6),
    MICROAMPERE_POSITIVE(1e-6),
    MILLIAMPERE_NEGATIVE(-1e-3),
    MILLIAMPERE_POSITIVE(1e-3),
}

/**
 * What the whole device takes, by its battery's gauge, while nothing else feeds it. Makers differ in sign and unit, so
 * whoever knows the device says which [gauge] it has; [read] asks for the state of now.
 */
class BatteryPower(
    private val gauge: BatteryGauge,
    override val minIntervalS: Double = 1.0,
    private val read: () -> BatteryState,
) : PowerSource {
    override val family = "battery"
    override val scope = "battery"
    override val rail = "battery"

    override fun watts(): Double {
        val state = read()
        if (state.isPluggedIn) throw SensorError("battery: plugged in, its power isn't the device's: unplug it")
        if (!state.isDischarging) throw SensorError("battery: it isn't discharging: its power isn't the device's")
        val volts = state.volts ?: throw SensorError("battery: the gauge gives no voltage")
        if (!(volts > 0 && volts < 100)) throw SensorError("battery: $volts V can't be a battery")
        val current = state.current ?: throw SensorError("battery: the gauge gives no current")
        val watts = current * gauge.ampere * volts
        if (watts < 0) {
            throw SensorError(
                "battery: the sign says charging while the system says discharging: the gauge isn't $gauge, name " +
                    "another"
            )
        }
        if (watts > 0 && watts < MIN_W) {
            throw SensorError("battery: $watts W is too little: the gauge isn't $gauge, name another")
        }
        return plausibleWatts(watts, "battery", MAX_W)
    }
}
