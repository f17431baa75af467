package edgeformer.runtime.tasks

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/** One label of several, or each on its own: [scores] of all, [labels] those that apply, [label] the best of all. */
class Classification internal constructor(encoded: Encoded, spec: TaskSpec, values: DoubleArray) : Prediction(encoded) {
    private val best = indexOfBest(values)
    val label: String = spec.labels[best]
    val score: Double = values[best]
    val scores: Map<String, Double> = spec.labels.mapIndexed { index, label -> label to values[index] }.toMap()
    val labels: List<String> =
        if (!spec.multiLabel) listOf(label)
        else spec.labels.filterIndexed { index, _ -> values[index] >= spec.threshold }

    override fun ownJson() = mapOf("label" to label, "score" to score, "scores" to scores, "labels" to labels)
}

/** One number, in the unit that the model was trained with. */
class Regression internal constructor(encoded: Encoded, val value: Double) : Prediction(encoded) {
    override fun ownJson() = mapOf("value" to value)
}

/** text-, image- and audio-classification: logits [1, labels], or [1, 1] for a number. */
internal class ClassificationTask(
    spec: TaskSpec,
    outputs: List<String>,
    kind: String,
) : Task(spec, outputs, hasActivation = true) {
    override val kinds = listOf(kind)

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction {
        val logits = output(outputs, 0)
        if (!spec.regression) return Classification(encoded, spec, activated(spec, labelled(logits, 2)))
        if (logits.size != 1) refuse("expected one number a row, got shape ${logits.shape}")
        return Regression(encoded, activated(spec, logits.toDoubles())[0])
    }
}
