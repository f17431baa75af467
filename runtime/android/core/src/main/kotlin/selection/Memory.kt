package edgeformer.runtime.selection

import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.anObject
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.report.jsonText
import java.io.File
import java.io.IOException

private const val MAX_REMEMBERED = 200
private const val MAX_BYTES = 1 shl 20

/**
 * What was found out on this device before, in JSON files of [directory]; null: nothing is kept. Losing it costs time
 * alone.
 */
internal class Memory(private val directory: File?) {
    fun recall(file: String, key: String): Any? = read(file)[key]

    fun remember(file: String, key: String, value: Any): Unit = synchronized(LOCK) {
        if (directory == null) return
        val others = read(file).filterKeys { it != key }.entries.toList()
        val kept = others.takeLast(MAX_REMEMBERED - 1).associate { it.key to it.value }
        try {
            directory.mkdirs()
            val partial = File(directory, "$file.partial")
            partial.writeText(jsonText(kept + (key to value)))
            partial.renameTo(File(directory, file))
        } catch (_: IOException) {
            // a full or read-only disk: it is measured again next time
        }
    }

    private fun read(file: String): Map<String, Any?> {
        if (directory == null) return emptyMap()
        return try {
            anObject(readJson(File(directory, file).readBytes(), file, MAX_BYTES), file)
        } catch (_: IOException) {
            emptyMap()
        } catch (_: RuntimeBundleError) { // damaged
            emptyMap()
        }
    }

    private companion object {
        val LOCK = Any()
    }
}
