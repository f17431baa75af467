package edgeformer.runtime.android.measuring

import android.content.Context
import android.os.Build
import edgeformer.runtime.measuring.ThrottleSource
import java.io.Closeable
import java.lang.reflect.Proxy

private const val FIRST_API = 29

/** THERMAL_STATUS_LIGHT to THERMAL_STATUS_SHUTDOWN; 0 is none. */
private val WORDS = listOf("light", "moderate", "severe", "critical", "emergency", "shutdown")

/**
 * Whether Android slows the device down from heat (API 29): null before. A listener keeps what came between two looks,
 * until [close]. Degrees an app isn't told.
 */
fun thermalStatus(context: Context): ThermalStatus? {
    if (Build.VERSION.SDK_INT < FIRST_API) return null
    return ThermalStatus(context.applicationContext.getSystemService(Context.POWER_SERVICE)!!)
}

/** `PowerManager` ([manager]) by reflection, since an app may be compiled with an older release's names. */
class ThermalStatus internal constructor(private val manager: Any) : ThrottleSource, Closeable {
    override val name: String get() = "PowerManager's thermal status"
    private val seen = java.util.TreeSet<Int>()
    private val current = manager.javaClass.getMethod("getCurrentThermalStatus")
    private val remove = manager.javaClass.methods.first { it.name == "removeThermalStatusListener" }
    private val listener = remove.parameterTypes[0].let { type ->
        Proxy.newProxyInstance(type.classLoader, arrayOf(type)) { proxy, called, arguments ->
            when (called.name) {
                "onThermalStatusChanged" -> null.also { note(arguments[0] as Int) }
                "hashCode" -> System.identityHashCode(proxy)
                "equals" -> proxy === arguments[0]
                else -> name
            }
        }
    }

    init {
        manager.javaClass.getMethod("addThermalStatusListener", remove.parameterTypes[0]).invoke(manager, listener)
    }

    /** What slows it down now, or did since the last look, as "severe (PowerManager's thermal status)". */
    override fun active(): Set<String> {
        note(current.invoke(manager) as Int)
        val found = synchronized(seen) { seen.toList().also { seen.clear() } }
        return found.map { "${WORDS[it - 1]} ($name)" }.toSet()
    }

    private fun note(status: Int) {
        if (status in 1..WORDS.size) synchronized(seen) { seen += status }
    }

    override fun close() {
        remove.invoke(manager, listener)
    }
}
