package edgeformer.runtime.tasks

import edgeformer.runtime.InputError
import edgeformer.runtime.bundle.TaskSpec
import edgeformer.runtime.bundle.TensorSpec

/**
 * The task of a manifest; null for `tensors`, which only arrays go into. Raises InputError for one of a later release.
 */
internal fun taskOf(spec: TaskSpec, outputs: List<TensorSpec>): Task? {
    val names = outputs.map { it.name }
    return when (spec.kind) {
        "text-classification" -> ClassificationTask(spec, names, "text")
        "image-classification" -> ClassificationTask(spec, names, "image")
        "audio-classification" -> ClassificationTask(spec, names, "audio")
        "token-classification" -> TokenClassificationTask(spec, names)
        "question-answering" -> QuestionAnswering(spec, names)
        "feature-extraction" -> FeatureExtraction(spec, names, "text")
        "image-feature-extraction" -> FeatureExtraction(spec, names, "image")
        "image-text-similarity" -> ImageTextSimilarityTask(spec, names)
        "zero-shot-image-classification" -> ZeroShotImageClassification(spec, names)
        "tensors" -> null
        else -> throw InputError(
            "task '${spec.kind}' is unknown to this runtime: update it, or use Session.run with arrays"
        )
    }
}
