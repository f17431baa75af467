package edgeformer.runtime.bundle

import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError

const val FORMAT_VERSION = 2
const val BATCH = "batch"
const val SEQUENCE = "sequence"
internal const val MAIN = "main" // the graph that is the model as one function

/** One size of a tensor: a number, or the name of a dimension that varies ("batch", "sequence"). */
sealed class Dim {
    data class Fixed(val size: Int) : Dim() {
        override fun toString() = size.toString()
    }

    data class Named(val name: String) : Dim() {
        override fun toString() = name
    }
}

/** A named tensor. [padValue] fills up inputs, [role] says what feeds them (null: the caller alone knows). */
data class TensorSpec(
    val name: String,
    val dtype: DType,
    val shape: List<Dim>,
    val padValue: Double,
    val role: String?,
) {
    /** The axis of the dimension called [name]; null where there is none. */
    fun axisOf(name: String): Int? = shape.indexOf(Dim.Named(name)).takeIf { it >= 0 }
}

/** One function of a variant; [inputs] and [outputs] are null where they are the manifest's. */
data class Graph(
    val path: String,
    val inputs: List<TensorSpec>?,
    val outputs: List<TensorSpec>?,
    val hasStates: Boolean,
)

/** The variant's figure on the evaluation rows of the compile. */
data class Verification(val samples: Long, val metricName: String?, val metric: Double?)

/** One exported form of the model. [lengths]: sizes that a named dimension can have; [fixedBatch]: null is any. */
data class VariantEntry(
    val name: String,
    val format: String,
    val engine: String,
    val graphs: Map<String, Graph>,
    val sizeBytes: Long,
    val lengths: Map<String, List<Int>>,
    val fixedBatch: Int?,
    val weightFormats: Map<String, Long>,
    val enginePackages: List<String>,
    val minEngineVersion: String?,
    val verification: Verification?,
) {
    /** The same variant with one of its graphs alone, as its main one. */
    internal fun ofGraph(name: String): VariantEntry = copy(graphs = mapOf(MAIN to graphs.getValue(name)))

    /** Path of its main graph's file. */
    val path: String
        get() = graphs[MAIN]?.path
            ?: throw EngineError("variant '$name': has graphs ${graphs.keys.joinToString()} and none called '$MAIN'")
}

/** What the model does, and what its outputs mean; FORMAT.md says how each is used. */
data class TaskSpec(
    val kind: String,
    val labels: List<String> = emptyList(),
    val multiLabel: Boolean = false,
    val regression: Boolean = false,
    val activation: String? = null,
    val similarity: String? = null,
    val threshold: Double = 0.5,
    val longestAnswer: Int = 30,
    val scale: Double = 1.0,
    val bias: Double = 0.0,
    val hypothesisTemplate: String? = null,
    val labelVectors: String? = null,
)

/** One file of the bundle. */
data class FileEntry(val path: String, val bytes: Long, val sha256: String)

/** A part ("variant", "preprocess", "task") that this release doesn't know; what is asked of it is refused. */
data class Skipped(val part: String, val name: String, val reason: String)

/** How something becomes input tensors. [files]: paths of the bundle that it reads. */
interface Preprocess {
    val kind: String
    val files: List<String>
}

/** The whole of manifest.json; [recipe], [sources] and [metrics] are handed on as JSON data. */
data class Manifest(
    val name: String,
    val producer: String,
    val task: TaskSpec,
    val inputs: List<TensorSpec>,
    val outputs: List<TensorSpec>,
    val files: List<FileEntry>,
    val variants: List<VariantEntry>,
    val preprocess: List<Preprocess>,
    val targets: List<String>,
    val recipe: Map<String, Any?>,
    val sources: Map<String, Any?>,
    val metrics: Map<String, Any?>,
    val skipped: List<Skipped>,
) {
    /** The variant called [name]; raises InputError naming those that exist, or why it was skipped. */
    fun variant(name: String): VariantEntry {
        variants.firstOrNull { it.name == name }?.let { return it }
        skipped("variant").firstOrNull { it.name == name }
            ?.let {
                throw InputError("bundle '${this.name}': variant '$name' was skipped: ${it.reason}: update the runtime")
            }
        throw InputError(
            "bundle '${this.name}' has no variant '$name': expected auto, ${variants.joinToString { it.name }}"
        )
    }

    /** What was skipped of one part. */
    fun skipped(part: String): List<Skipped> = skipped.filter { it.part == part }
}
