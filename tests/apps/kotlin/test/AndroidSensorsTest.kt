package edgeformer.runtime.test

import edgeformer.runtime.SensorError
import edgeformer.runtime.android.measuring.PowerMonitors
import edgeformer.runtime.android.measuring.ThermalStatus
import edgeformer.runtime.android.measuring.batteryState
import edgeformer.runtime.measuring.BatteryGauge
import edgeformer.runtime.measuring.BatteryPower
import edgeformer.runtime.measuring.NotYetError
import edgeformer.runtime.measuring.RailPower
import java.util.concurrent.Executor
import java.util.function.Consumer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val CHARGING = 2 // BatteryManager.BATTERY_STATUS_…
private const val DISCHARGING = 3
private const val NOT_CHARGING = 4
private const val FULL = 5
private const val AC = 1
private const val USB = 2

/** What Android's sensors say, by the shapes of their API: numbers of batteries, `PowerMonitor`, `PowerManager`. */
class AndroidSensorsTest {
    private val usual = BatteryGauge.MICROAMPERE_NEGATIVE

    private fun watts(status: Int, plugged: Int, millivolts: Int, current: Int, gauge: BatteryGauge = usual) =
        BatteryPower(gauge) { batteryState(status, plugged, millivolts, current) }.watts()

    private fun refused(status: Int, plugged: Int, millivolts: Int, current: Int, gauge: BatteryGauge = usual) =
        assertThrows(SensorError::class.java) { watts(status, plugged, millivolts, current, gauge) }.message!!

    @Test
    fun makersCountInFourWays() {
        assertEquals(1.16, watts(DISCHARGING, 0, 3867, -300_000), 0.001)
        assertEquals(4.142, watts(DISCHARGING, 0, 3752, 1_104_003, BatteryGauge.MICROAMPERE_POSITIVE), 0.001)
        assertEquals(1.247, watts(DISCHARGING, 0, 4022, -310, BatteryGauge.MILLIAMPERE_NEGATIVE), 0.001)
        assertEquals(1.247, watts(DISCHARGING, 0, 4022, 310, BatteryGauge.MILLIAMPERE_POSITIVE), 0.001)
    }

    @Test
    fun aGaugeThatCountsOtherwiseThanSaidIsRefused() {
        assertTrue("the sign says charging" in refused(DISCHARGING, 0, 3752, 1_104_003))
        assertTrue("too little" in refused(DISCHARGING, 0, 4022, -310))
        assertTrue("its unit is another" in refused(DISCHARGING, 0, 3867, -300_000, BatteryGauge.MILLIAMPERE_NEGATIVE))
    }

    @Test
    fun onlyABatteryThatFeedsTheDeviceAloneCounts() {
        for (plugged in listOf(AC, USB)) assertTrue("plugged in" in refused(DISCHARGING, plugged, 4100, -200_000))
        for (status in listOf(CHARGING, NOT_CHARGING, FULL, 1)) {
            assertTrue("isn't discharging" in refused(status, 0, 4100, -200_000))
        }
    }

    @Test
    fun whatIsMissingIsNoNumber() {
        assertTrue("no current" in refused(DISCHARGING, 0, 3867, Int.MIN_VALUE))
        assertTrue("no current" in refused(DISCHARGING, 0, 3867, 0))
        assertTrue("no voltage" in refused(DISCHARGING, 0, 0, -300_000))
        assertTrue("no voltage" in refused(DISCHARGING, 0, -1, -300_000))
    }

    /** As `android.os.PowerMonitor` and its readings. */
    class Monitor(private val name: String, private val type: Int, var microwattSeconds: Long) {
        fun getName() = name

        fun getType() = type
    }

    class Readings(private val atMs: Long) {
        fun getTimestampMillis(monitor: Monitor) = atMs.also { check(monitor.getName().isNotEmpty()) }

        fun getConsumedEnergy(monitor: Monitor) = monitor.microwattSeconds
    }

    interface Outcome {
        fun onResult(result: Any)

        fun onError(error: Throwable)
    }

    /** As `android.os.health.SystemHealthManager`, which answers from another thread. */
    class Manager(private val monitors: List<Monitor>) {
        var nowMs = 1_000L
        var failure: RuntimeException? = null

        fun getSupportedPowerMonitors(executor: Executor, onResult: Consumer<List<Monitor>>) {
            Thread { executor.execute { onResult.accept(monitors) } }.start()
        }

        fun getPowerMonitorReadings(asked: List<Monitor>, executor: Executor, onResult: Outcome) {
            check(monitors.containsAll(asked))
            executor.execute { failure?.let(onResult::onError) ?: onResult.onResult(Readings(nowMs)) }
        }
    }

    @Test
    fun railsOfThePowerMonitorGivePowerOverItsOwnClock() {
        val cpu = Monitor("[S4M_VDD_CPUCL0]:CPU(LITTLE)", 1, 5_000_000)
        val display = Monitor("[VSYS_PWR_DISPLAY]:Display", 1, 9_000_000)
        val behind = Monitor("[L15M_VDD_SLC_M]:SLC", 1, 1_000_000)
        val model = Monitor("CPUCL0", 0, 7_000_000)
        val manager = Manager(listOf(cpu, display, behind, model))
        val power = RailPower(PowerMonitors(manager)::read)
        assertEquals("S4M_VDD_CPUCL0+VSYS_PWR_DISPLAY", power.rail)
        assertThrows(NotYetError::class.java) { power.watts() }
        assertThrows(NotYetError::class.java) { power.watts() } // Android gives the same values for 30 s
        manager.nowMs += 30_000
        for (monitor in listOf(cpu, display, behind, model)) monitor.microwattSeconds += 15_000_000
        assertEquals(1.0, power.watts(), 1e-9)
    }

    @Test
    fun aPowerMonitorThatGivesNothingSaysWhy() {
        fun reason(manager: Any) =
            assertThrows(SensorError::class.java) { RailPower(PowerMonitors(manager)::read) }.message!!
        assertTrue("no power monitor" in reason(Manager(emptyList())))
        assertTrue("no power monitor" in reason(Manager(listOf(Monitor("CPUCL0", 0, 1)))))
        assertTrue("another SystemHealthManager" in reason("an object without such methods"))
        val silent = Manager(listOf(Monitor("[S4M]:CPU", 1, 1)))
        silent.failure = IllegalStateException("the service died")
        assertTrue("the service died" in reason(silent))
        assertTrue("or none" in reason(Manager(listOf(Monitor("[S4M]:CPU", 1, -1)))))
    }

    /** As `PowerManager.OnThermalStatusChangedListener` and what takes it. */
    interface Listener {
        fun onThermalStatusChanged(status: Int)
    }

    class Thermal {
        var status = 0
        val listeners = ArrayList<Listener>()

        fun getCurrentThermalStatus() = status

        fun addThermalStatusListener(listener: Listener) {
            listeners += listener
        }

        fun removeThermalStatusListener(listener: Listener) {
            listeners -= listener
        }
    }

    @Test
    fun throttlingBetweenTwoLooksIsNotMissed() {
        val manager = Thermal()
        val status = ThermalStatus(manager)
        assertEquals(emptySet<String>(), status.active())
        manager.listeners.single().onThermalStatusChanged(3)
        manager.listeners.single().onThermalStatusChanged(0)
        assertEquals(setOf("severe (PowerManager's thermal status)"), status.active())
        manager.status = 1
        assertEquals(setOf("light (PowerManager's thermal status)"), status.active())
        manager.status = 0
        assertEquals(emptySet<String>(), status.active())
        status.close()
        assertTrue(manager.listeners.isEmpty())
    }
}
