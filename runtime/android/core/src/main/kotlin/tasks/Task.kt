package edgeformer.runtime.tasks

import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/** What `Session.predict` gives for one row; [tokens], [truncated], [tokensCut] and [notes] as in [Encoded]. */
abstract class Prediction internal constructor(encoded: Encoded) {
    val tokens: Int? = encoded.tokens
    val truncated: Boolean = encoded.truncated
    val tokensCut: Int? = encoded.tokensCut
    val notes: List<String> = encoded.notes

    /** Plain JSON data, with the keys of FORMAT.md. */
    fun toJson(): Map<String, Any?> =
        mapOf<String, Any?>("tokens" to tokens, "truncated" to truncated, "tokens_cut" to tokensCut) + ownJson()

    internal abstract fun ownJson(): Map<String, Any?>

    override fun toString(): String = toJson().toString()
}

/**
 * One task of one model: [outputs] are the names of the model's outputs, in its order.
 *
 * Raises RuntimeBundleError where [spec] says what such a task doesn't have, or outputs are missing.
 */
internal abstract class Task(
    val spec: TaskSpec,
    val outputs: List<String>,
    outputsNeeded: Int = 1,
    hasActivation: Boolean = false,
) {
    /** The kinds of preprocessing that make a row's inputs; none: arrays alone go in. */
    abstract val kinds: List<String>

    /** Kinds of preprocessing of which it gives vectors, in the outputs' order. */
    open val embeds: List<String> get() = emptyList()

    init {
        if (spec.activation != null && !hasActivation) {
            refuse("activation '${spec.activation}': expected none, such a task has no scores")
        }
        if (outputs.size < outputsNeeded) {
            refuse("expected $outputsNeeded outputs, got ${outputs.size}: the manifest doesn't fit the task")
        }
    }

    /**
     * The result of one row; [outputs]: {name: array [1, …]}. Raises RuntimeBundleError for what doesn't fit the task.
     */
    abstract fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction

    protected fun refuse(problem: String): Nothing = throw RuntimeBundleError("task ${spec.kind}: $problem")

    /** Output [index]; raises RuntimeBundleError where it isn't there, or holds NaN or infinity. */
    fun output(outputs: Map<String, Tensor>, index: Int): Tensor {
        val name = this.outputs[index]
        val found = outputs[name]
            ?: refuse("what ran gives ${outputs.keys.joinToString()} and no $name: compile the bundle again")
        if (found.dtype.isFloat && found.toDoubles().any { !it.isFinite() }) {
            throw RuntimeBundleError(
                "output '$name' holds NaN or infinity: the variant doesn't work on this device, try another one"
            )
        }
        return found
    }

    /** The vector of an output [1, dimensions]. */
    fun vector(output: Tensor): FloatArray {
        if (output.shape.size != 2 || output.shape[0] != 1) refuse("expected [1, dimensions], got ${output.shape}")
        return output.toFloats()
    }

    /** The numbers of logits [1, …, labels] of so many [dimensions], once it is sure that they have that shape. */
    protected fun labelled(logits: Tensor, dimensions: Int): DoubleArray {
        val labels = spec.labels.size
        if (labels == 0 || logits.shape.size != dimensions || logits.shape.last() != labels || logits.shape[0] != 1) {
            refuse(
                "$labels labels and $dimensions dimensions expected, got shape ${logits.shape}: compile the bundle " +
                    "again"
            )
        }
        return logits.toDoubles()
    }
}
