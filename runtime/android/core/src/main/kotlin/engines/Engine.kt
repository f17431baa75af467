package edgeformer.runtime.engines

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import java.io.Closeable
import java.io.File

/**
 * Whether an engine can run a variant here; [reason] is null exactly when it can.
 *
 * [detail]: what decides results and speed beside [version], an accelerator perhaps: what was remembered holds only
 * while it stays the same.
 */
data class Availability(val engine: String, val version: String?, val reason: String?, val detail: String? = null)

/** Finds its library and loads variants. An app may bring its own. */
interface Engine {
    /** As the manifest names it: "onnxruntime", "litert". */
    val name: String

    /** Can it run [variant] here? Never throws. */
    fun availability(variant: VariantEntry): Availability

    /**
     * Load the model [file], which is gone once this returns unless the engine holds it open. [variant] has one graph.
     *
     * Raises EngineError with what to install or change.
     */
    fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel
}

/**
 * One graph in memory. Shapes are those of the file: padding and splitting happen above.
 *
 * [run] may be called from several threads at once; an engine that can't do that waits its turn. Nobody calls [close]
 * while one runs; calling it twice is harmless.
 */
interface LoadedModel : Closeable {
    /** "onnxruntime 1.31.1 (CPUExecutionProvider)" */
    val label: String

    /** What ran where, or was wanted and not used; empty where there is nothing to say. */
    val delegation: List<String>

    /** One inference: {input name: tensor} to {output name: tensor}; raises EngineError. */
    fun run(feeds: Map<String, Tensor>): Map<String, Tensor>
}

/** Why [version] doesn't reach [minimum] ("1.19"); null where it does. */
internal fun versionProblem(engine: String, version: String, minimum: String?): String? {
    fun numbers(text: String) = Regex("[0-9]+").findAll(text).map { it.value.toLong() }.toList()
    if (minimum == null) return null
    val (found, needed) = numbers(version) to numbers(minimum)
    for (index in needed.indices) {
        val (a, b) = found.getOrElse(index) { 0 } to needed[index]
        if (a > b) return null
        if (a < b) return "$engine $version is too old: the variant needs $minimum: update it"
    }
    return null
}
