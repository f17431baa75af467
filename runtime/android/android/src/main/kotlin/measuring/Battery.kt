package edgeformer.runtime.android.measuring

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import edgeformer.runtime.SensorError
import edgeformer.runtime.measuring.BatteryGauge
import edgeformer.runtime.measuring.BatteryPower
import edgeformer.runtime.measuring.BatteryState
import edgeformer.runtime.measuring.PowerSource

/**
 * What the whole device takes from its battery, unplugged. [gauge] says how this maker counts, which no value tells:
 * Android documents µA, negative while discharging, and many devices give mA or the other sign.
 *
 * Gauges give a new current every 0.25 to some seconds; the voltage is that of the last battery broadcast, up to a
 * minute old.
 */
fun batteryPower(context: Context, gauge: BatteryGauge): PowerSource {
    val app = context.applicationContext
    val manager = app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager
    return BatteryPower(gauge) {
        // Without a receiver nothing is registered: this gives the last broadcast.
        val told = app.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
            ?: throw SensorError("battery: this device tells nothing of one")
        batteryState(
            status = told.getIntExtra(BatteryManager.EXTRA_STATUS, BatteryManager.BATTERY_STATUS_UNKNOWN),
            plugged = told.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0),
            millivolts = told.getIntExtra(BatteryManager.EXTRA_VOLTAGE, 0),
            current = manager.getIntProperty(BatteryManager.BATTERY_PROPERTY_CURRENT_NOW),
        )
    }
}

/**
 * Android's numbers as a state: a missing property is the least Int, and 0 in apps made for releases before Android 9.
 */
internal fun batteryState(status: Int, plugged: Int, millivolts: Int, current: Int) = BatteryState(
    isDischarging = status == BatteryManager.BATTERY_STATUS_DISCHARGING,
    isPluggedIn = plugged != 0,
    current = current.takeIf { it != Int.MIN_VALUE && it != 0 }?.toDouble(),
    volts = millivolts.takeIf { it > 0 }?.div(1000.0),
)
