package edgeformer.runtime.tasks

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/** A picture with a text: [similarity] is the cosine, [score] a probability; null for models that only rank. */
class ImageTextSimilarity internal constructor(encoded: Encoded, val similarity: Double, val score: Double?) :
    Prediction(encoded) {
    override fun ownJson() = mapOf("similarity" to similarity, "score" to score)
}

/** What compares pictures with texts: outputs are the picture's vector [1, dimensions], then the text's. */
internal abstract class ImageTextTask(spec: TaskSpec, outputs: List<String>) :
    Task(spec, outputs, outputsNeeded = 2, hasActivation = true) {
    override val embeds = listOf("image", "text")

    init {
        if (spec.regression || spec.activation == "tanh") {
            refuse("expected no regression and no tanh: it compares vectors")
        }
    }

    /** scale · cosine + bias. */
    protected fun logit(cosine: Double): Double {
        val logit = spec.scale * cosine + spec.bias
        if (!logit.isFinite()) refuse("scale ${spec.scale} and bias ${spec.bias} give no finite scores")
        return logit
    }
}

/** image-text-similarity: how well a text describes a picture. */
internal class ImageTextSimilarityTask(spec: TaskSpec, outputs: List<String>) : ImageTextTask(spec, outputs) {
    override val kinds = embeds

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction {
        val cosine = similarity(vector(output(outputs, 0)), vector(output(outputs, 1)))
        return ImageTextSimilarity(encoded, cosine, if (spec.activation == "sigmoid") sigmoid(logit(cosine)) else null)
    }
}
