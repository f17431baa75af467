package edgeformer.runtime.selection

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.BATCH
import edgeformer.runtime.bundle.Dim
import edgeformer.runtime.bundle.Manifest
import edgeformer.runtime.bundle.SEQUENCE
import edgeformer.runtime.bundle.TensorSpec
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.text.TextPreprocess
import java.util.Random

/** Of a named dimension, where the bundle names no length: a sentence or two, a second of sound, a usual picture. */
private val USUAL_SIZES = mapOf(SEQUENCE to 64, "samples" to 16_000, "frames" to 100, "height" to 224, "width" to 224)

private val ROLES = mapOf(
    "text" to setOf("tokens", "mask", "token_types"),
    "image" to setOf("pixels"),
    "audio" to setOf("samples", "features", "mask"),
)

/** Those of [inputs] that preprocessing of [kind] makes; all of them where the bundle has no other kind. */
internal fun inputsFedBy(kind: String, kinds: List<String>, inputs: List<TensorSpec>): List<TensorSpec> {
    val others = kinds.filter { it != kind }.flatMap { ROLES.getValue(it) } - ROLES.getValue(kind)
    return inputs.filter { it.role !in others }
}

/**
 * What one prediction feeds: of a model of two towers perhaps one tower's inputs. [taskKinds]: those that the task
 * reads.
 */
internal fun predictionInputs(manifest: Manifest, taskKinds: List<String>): List<TensorSpec> {
    val kinds = manifest.preprocess.map { it.kind }
    if (taskKinds.isEmpty() || !kinds.containsAll(taskKinds) || taskKinds.toSet() == kinds.toSet()) {
        return manifest.inputs
    }
    val fed = taskKinds.flatMap { inputsFedBy(it, kinds, manifest.inputs) }
    return manifest.inputs.filter { it in fed }.ifEmpty { manifest.inputs }
}

/** A size of each named dimension of [inputs], but the batch, that all of [variants] take. */
internal fun typicalSizes(
    manifest: Manifest,
    inputs: List<TensorSpec>,
    variants: List<VariantEntry>,
): Map<String, Int> {
    val names = inputs.flatMap { it.shape }.filterIsInstance<Dim.Named>().map { it.name }.toSet() - BATCH
    return names.associateWith { name ->
        val known = variants.mapNotNull { it.lengths[name] }
        val lengths = known.flatten().distinct().sorted()
        val text = manifest.preprocess.filterIsInstance<TextPreprocess>().firstOrNull()
        when {
            lengths.isNotEmpty() -> minOf(lengths[lengths.size / 2], known.minOf { it.last() })
            name == SEQUENCE && text != null -> minOf(USUAL_SIZES.getValue(name), text.maxLength)
            else -> USUAL_SIZES[name] ?: 1
        }
    }
}

/**
 * One row of valid input. Integers are the smallest that isn't padding, 0 for token types; floats are normally
 * distributed with a fixed seed: latency depends on the shape, hardly on the content.
 */
internal fun syntheticFeeds(inputs: List<TensorSpec>, sizes: Map<String, Int>): Map<String, Tensor> {
    val random = Random(0)
    return inputs.associate { spec ->
        val shape = spec.shape.map { if (it is Dim.Named) sizes[it.name] ?: 1 else (it as Dim.Fixed).size }
        val tensor = Tensor.zeros(spec.dtype, shape)
        val whole = if (spec.role == "token_types" || spec.padValue != 0.0) 0.0 else 1.0
        for (index in 0 until tensor.size) tensor[index] = if (spec.dtype.isFloat) random.nextGaussian() else whole
        spec.name to tensor
    }
}
