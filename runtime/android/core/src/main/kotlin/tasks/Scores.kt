package edgeformer.runtime.tasks

import edgeformer.runtime.bundle.TaskSpec
import kotlin.math.exp
import kotlin.math.tanh

/** Softmax, the maximum subtracted first. */
internal fun softmax(logits: DoubleArray): DoubleArray {
    val largest = logits.maxOrNull() ?: return logits
    val exponentials = DoubleArray(logits.size) { exp(logits[it] - largest) }
    val sum = exponentials.sum()
    return DoubleArray(logits.size) { exponentials[it] / sum }
}

/** Logistic function; the form by tanh doesn't overflow. */
internal fun sigmoid(logit: Double): Double = 0.5 * (1.0 + tanh(0.5 * logit))

/** A classifier's scores, or a regression's number, by the task's activation. */
internal fun activated(task: TaskSpec, logits: DoubleArray): DoubleArray {
    val usual = if (task.regression) null else if (task.multiLabel) "sigmoid" else "softmax"
    return when (task.activation ?: usual) {
        "softmax" -> softmax(logits)
        "sigmoid" -> DoubleArray(logits.size) { sigmoid(logits[it]) }
        "tanh" -> DoubleArray(logits.size) { tanh(logits[it]) }
        else -> logits
    }
}

/** Of equal maxima the first. */
internal fun indexOfBest(scores: DoubleArray): Int {
    var best = 0
    for (index in scores.indices) if (scores[index] > scores[best]) best = index
    return best
}
