package edgeformer.runtime.tasks

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val TEMPLATE = "This is a photo of {}."

/**
 * zero-shot-image-classification among the labels of [spec], whose texts' vectors [vectors] are (null: not yet known).
 */
internal class ZeroShotImageClassification(
    spec: TaskSpec,
    outputs: List<String>,
    private val vectors: List<FloatArray>? = null,
) : ImageTextTask(spec, outputs) {
    override val kinds = listOf("image")

    /** The same task between [labels]. */
    fun withLabels(labels: List<String>, vectors: List<FloatArray>) =
        ZeroShotImageClassification(spec.copy(labels = labels), outputs, vectors)

    /** What the text tower gets for [label]. */
    fun text(label: String): String = (spec.hypothesisTemplate ?: TEMPLATE).replace("{}", label)

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction {
        val picture = vector(output(outputs, 0))
        val known = vectors ?: throw InputError("task ${spec.kind}: no labels: name them")
        if (known[0].size != picture.size) {
            refuse("a picture's vector has ${picture.size} numbers, a label's ${known[0].size}")
        }
        val logits = DoubleArray(known.size) { logit(similarity(known[it], picture)) }
        return Classification(encoded, spec, activated(spec, logits))
    }
}

/** Raises InputError unless [labels] are at least two texts, each once and not empty. */
internal fun checkLabels(labels: List<String>) {
    if (labels.any { it.isBlank() }) throw InputError("labels: expected texts, none of them empty")
    if (labels.size < 2 || labels.toSet().size != labels.size) {
        throw InputError("labels ${labels.joinToString().take(80)}: expected at least two, each once")
    }
}

/** The vectors in a bundle's file of float32 [labels, dimensions]; raises RuntimeBundleError for NaN, infinity. */
internal fun storedVectors(data: ByteArray, labels: Int): List<FloatArray> {
    val numbers = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    val found = List(labels) { FloatArray(numbers.limit() / labels).also { vector -> numbers.get(vector) } }
    if (found.any { vector -> vector.any { !it.isFinite() } }) {
        throw RuntimeBundleError("the bundle's label vectors hold NaN or infinity")
    }
    return found
}

/** Raises InputError where the model doesn't read a label to its end, or can't tell two apart. */
internal fun checkToldApart(labels: List<String>, found: List<Embedding>) {
    labels.indices.firstOrNull { found[it].truncated }
        ?.let {
            throw InputError("label '${labels[it].take(80)}': its text is longer than the model reads: shorten it")
        }
    for (index in labels.indices) for (other in 0 until index) {
        if (found[other].embedding.contentEquals(found[index].embedding)) {
            throw InputError(
                "labels '${labels[other]}' and '${labels[index]}': the model gives both one vector: name one otherwise"
            )
        }
    }
}
