package edgeformer.runtime.tasks

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/** A vector, to be compared with others of the same model by [similarity]. */
class Embedding internal constructor(encoded: Encoded, val embedding: FloatArray) : Prediction(encoded) {
    override fun ownJson() = mapOf("embedding" to embedding.map { it.toDouble() })
}

/** feature-extraction and image-feature-extraction: [1, dimensions]; pooling is part of the model. */
internal class FeatureExtraction(spec: TaskSpec, outputs: List<String>, kind: String) : Task(spec, outputs) {
    override val kinds = listOf(kind)
    override val embeds = kinds

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction =
        Embedding(encoded, vector(output(outputs, 0)))
}
