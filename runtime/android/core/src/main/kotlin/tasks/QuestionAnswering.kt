package edgeformer.runtime.tasks

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/** The span of the context that answers the question; [start] and [end] count code points of the context. */
class Answer internal constructor(encoded: Encoded, val text: String, val score: Double, val start: Int, val end: Int) :
    Prediction(encoded) {
    override fun ownJson() = mapOf("text" to text, "score" to score, "start" to start, "end" to end)
}

/** question-answering: logits of starts and of ends, both [1, tokens]. */
internal class QuestionAnswering(spec: TaskSpec, outputs: List<String>) : Task(spec, outputs, outputsNeeded = 2) {
    override val kinds = listOf("text")

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction {
        val places = encoded.places()
        val logits = List(2) { output(outputs, it) }
        val expected = listOf(1, encoded.tokens)
        if (logits.any { it.shape != expected }) {
            refuse("expected start and end of shape $expected, got ${logits.map { it.shape }}")
        }
        val tokens = places.texts.indices.filter { places.texts[it] == 1 }
        if (tokens.isEmpty()) return Answer(encoded, "", 0.0, 0, 0)
        val (starts, ends) = logits.map { softmax(DoubleArray(tokens.size) { index -> it[tokens[index]] }) }
        var first = 0
        var last = 0
        for (from in tokens.indices) for (to in from until minOf(from + spec.longestAnswer, tokens.size)) {
            if (starts[from] * ends[to] > starts[first] * ends[last]) {
                first = from
                last = to
            }
        }
        val start = places.starts[tokens[first]]
        val end = places.ends[tokens[last]]
        return Answer(encoded, between(places.second.orEmpty(), start, end), starts[first] * ends[last], start, end)
    }
}
