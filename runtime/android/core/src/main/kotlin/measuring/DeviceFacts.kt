package edgeformer.runtime.measuring

import java.io.File
import java.io.IOException

/** Instruction sets that decide how fast int8, fp16 and attention are; names of /proc/cpuinfo. */
private val FEATURES = listOf(
    "avx", "avx2", "f16c", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16",
    "amx_int8", "amx_bf16", "neon", "asimd", "asimdhp", "asimddp", "fphp", "i8mm", "bf16", "sve", "sve2",
)

/** A device as probed, what can't be read is null. Clocks in MHz, memory in bytes. */
data class DeviceFacts(
    val machine: String?,
    val system: String?,
    val deviceModel: String?,
    val cpuModel: String?,
    val cpuFeatures: List<String>,
    val cores: Int,
    val memoryTotalBytes: Long?,
    val memoryAvailableBytes: Long?,
    val cpuGovernor: String?,
    val cpuClockMhz: Double?,
    val cpuMaxClockMhz: Double?,
    val virtualMachine: String,
) {
    /** What decides whether results and times found here hold. */
    internal val processor: String get() = "$machine, $cpuModel, $cpuFeatures"
}

/** The facts of this device, read anew. */
fun deviceFacts(): DeviceFacts {
    val cpuinfo = textOf("/proc/cpuinfo").orEmpty()
    val memory = textOf("/proc/meminfo").orEmpty()
    val frequency = "/sys/devices/system/cpu/cpu0/cpufreq"
    return DeviceFacts(
        machine = System.getProperty("os.arch")?.let { if (it == "amd64") "x86_64" else it },
        system = listOfNotNull(
            androidProperty("RELEASE", "android.os.Build\$VERSION")?.let { "Android $it," },
            System.getProperty("os.name"), System.getProperty("os.version"),
        ).joinToString(" "),
        deviceModel = androidModel() ?: textOf("/proc/device-tree/model")
            ?: listOfNotNull(textOf("/sys/class/dmi/id/sys_vendor"), textOf("/sys/class/dmi/id/product_name"))
                .joinToString(" ").ifEmpty { null },
        cpuModel = field(cpuinfo, "model name") ?: field(cpuinfo, "Hardware") ?: androidProperty("SOC_MODEL"),
        cpuFeatures = (field(cpuinfo, "flags") ?: field(cpuinfo, "Features")).orEmpty().split(' ')
            .let { has -> FEATURES.filter { it in has } },
        cores = Runtime.getRuntime().availableProcessors(),
        memoryTotalBytes = kib(memory, "MemTotal"),
        memoryAvailableBytes = kib(memory, "MemAvailable"),
        cpuGovernor = textOf("$frequency/scaling_governor"),
        cpuClockMhz = textOf("$frequency/scaling_cur_freq")?.toDoubleOrNull()?.div(1000),
        cpuMaxClockMhz = textOf("$frequency/cpuinfo_max_freq")?.toDoubleOrNull()?.div(1000),
        virtualMachine = "${System.getProperty("java.vm.name")} ${System.getProperty("java.vm.version")}",
    )
}

/** The most memory that this process has held so far; null where the system doesn't say. */
internal fun peakRssBytes(): Long? = kib(textOf("/proc/self/status").orEmpty(), "VmHWM")

/** A small file of /proc or /sys; null where it can't be read, which apps often may not. */
internal fun textOf(path: String): String? = try {
    File(path).readText().replace("\u0000", "").trim().ifEmpty { null }
} catch (_: IOException) {
    null
}

private fun field(text: String, key: String): String? =
    Regex("(?m)^$key[ \\t]*:(.*)$").find(text)?.groupValues?.get(1)?.trim()?.ifEmpty { null }

private fun kib(text: String, key: String): Long? =
    field(text, key)?.removeSuffix("kB")?.trim()?.toLongOrNull()?.times(1024)

private fun androidModel(): String? =
    listOfNotNull(androidProperty("MANUFACTURER"), androidProperty("MODEL")).joinToString(" ").ifEmpty { null }

/** A constant of android.os.Build, by reflection: the core runs on a JVM, too. */
private fun androidProperty(name: String, of: String = "android.os.Build"): String? = try {
    Class.forName(of).getField(name).get(null) as String?
} catch (_: ReflectiveOperationException) {
    null
}
