package edgeformer.runtime.android.measuring

import android.content.Context
import android.os.Build
import edgeformer.runtime.SensorError
import edgeformer.runtime.measuring.PowerSource
import edgeformer.runtime.measuring.RailEnergy
import edgeformer.runtime.measuring.RailPower
import java.lang.reflect.InvocationHandler
import java.lang.reflect.Proxy
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executor
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicReference

private const val FIRST_API = 35
private const val MEASUREMENT = 1 // PowerMonitor.POWER_MONITOR_TYPE_MEASUREMENT: a rail, no model's share of some
private const val WAIT_S = 10L

/**
 * The rails of the on-device power monitor, which Android gives apps from 15 on, where the device has one (Pixel 6 and
 * later). An app sees values that are up to 30 s old and have up to 10 J of noise, most of it below 0.5 J: good for
 * minutes, not for seconds. They count on the mains, too. Raises SensorError with the reason where there are none.
 */
fun railPower(context: Context): PowerSource {
    if (Build.VERSION.SDK_INT < FIRST_API) {
        val here = "this is API ${Build.VERSION.SDK_INT}"
        throw SensorError("android_odpm: apps may read the power monitor from Android 15 on, API $FIRST_API; $here")
    }
    val manager = context.applicationContext.getSystemService("systemhealth")
        ?: throw SensorError("android_odpm: this device has no SystemHealthManager")
    return RailPower(PowerMonitors(manager)::read)
}

/**
 * `SystemHealthManager` ([manager]) with `PowerMonitor` and `PowerMonitorReadings`, by reflection: they are younger
 * than what an app may be compiled with. Raises SensorError.
 */
internal class PowerMonitors(private val manager: Any) {
    private val monitors: Map<String, Any> = reflecting {
        val found = asked<List<*>>("getSupportedPowerMonitors").filterNotNull()
        found.filter { number(it, "getType").toInt() == MEASUREMENT }
            .associateBy { railOf(call(it, "getName") as String) }
    }

    init {
        if (monitors.isEmpty()) {
            throw SensorError("android_odpm: this device has no power monitor, or shows apps no rail of it")
        }
    }

    /** Energy since the start by rail; one that has no value now is left out. */
    fun read(): Map<String, RailEnergy> = reflecting {
        val all = monitors.values.toList()
        val readings = asked<Any>("getPowerMonitorReadings", all)
        monitors.mapValues { (_, monitor) ->
            RailEnergy(number(readings, "getTimestampMillis", monitor), number(readings, "getConsumedEnergy", monitor))
        }.filterValues { it.microwattSeconds >= 0 } // ENERGY_UNAVAILABLE is -1
    }

    /** Call [method] with [first], an executor that runs at once, and a callback, whose first value this returns. */
    private inline fun <reified T : Any> asked(method: String, vararg first: Any): T {
        val found = manager.javaClass.methods.first { it.name == method && it.parameterTypes.size == first.size + 2 }
        val type = found.parameterTypes.last() // Consumer, or OutcomeReceiver with onResult and onError
        val answer = AtomicReference<Any>()
        val failure = AtomicReference<Any>()
        val answered = CountDownLatch(1)
        val handler = InvocationHandler { proxy, called, arguments ->
            when (called.name) {
                "accept", "onResult", "onError" -> null.also {
                    (if (called.name == "onError") failure else answer).set(arguments[0])
                    answered.countDown()
                }
                "hashCode" -> System.identityHashCode(proxy)
                "equals" -> proxy === arguments[0]
                "toString" -> method
                else -> throw UnsupportedOperationException(called.name)
            }
        }
        val callback = Proxy.newProxyInstance(type.classLoader, arrayOf(type), handler)
        found.invoke(manager, *first, Executor { it.run() }, callback)
        if (!answered.await(WAIT_S, TimeUnit.SECONDS)) {
            throw SensorError("android_odpm: $method gave no answer within $WAIT_S s")
        }
        val problem = failure.get()
        if (problem != null) throw SensorError("android_odpm: $method failed: $problem", problem as? Throwable)
        return answer.get() as? T ?: throw SensorError("android_odpm: $method gave ${answer.get()}")
    }

    private fun number(target: Any, method: String, vararg arguments: Any): Long =
        (call(target, method, *arguments) as Number).toLong()

    private fun call(target: Any, method: String, vararg arguments: Any): Any? =
        target.javaClass.methods.first { it.name == method && it.parameterTypes.size == arguments.size }
            .invoke(target, *arguments)
}

/** "[S2M_VDD_CPUCL2]:CPU(BIG)", rail and what hangs on it, is S2M_VDD_CPUCL2. */
private fun railOf(name: String): String = Regex("\\[(.+?)]").find(name)?.groupValues?.get(1) ?: name

private fun <T> reflecting(use: () -> T): T = try {
    use()
} catch (error: ReflectiveOperationException) {
    throw SensorError("android_odpm: this release answers otherwise than expected: ${error.cause ?: error}", error)
} catch (error: NoSuchElementException) {
    throw SensorError("android_odpm: this release has another SystemHealthManager: ${error.message}", error)
}
