package edgeformer.runtime.tasks

import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.TaskSpec

/**
 * A run of words with one label; [start] and [end] (exclusive) count code points of the text, [score] is its words'
 * mean.
 */
data class Entity(val label: String, val score: Double, val start: Int, val end: Int, val text: String)

/** The entities of a text, in its order. */
class TokenClassification internal constructor(encoded: Encoded, val entities: List<Entity>) : Prediction(encoded) {
    override fun ownJson() = mapOf(
        "entities" to entities.map {
            mapOf("label" to it.label, "score" to it.score, "start" to it.start, "end" to it.end, "text" to it.text)
        }
    )
}

/** token-classification: logits [1, tokens, labels]. A word's label is that of its first token. */
internal class TokenClassificationTask(spec: TaskSpec, outputs: List<String>) : Task(spec, outputs) {
    override val kinds = listOf("text")

    private class Word(val token: Int, val start: Int, var end: Int)

    private class Run(val label: String, val start: Int, var end: Int, val scores: MutableList<Double>)

    override fun predict(outputs: Map<String, Tensor>, encoded: Encoded): Prediction {
        val places = encoded.places()
        val output = output(outputs, 0)
        val logits = labelled(output, 3)
        if (output.shape[1] != encoded.tokens) {
            refuse("expected logits of ${encoded.tokens} tokens, got shape ${output.shape}")
        }
        val labels = spec.labels.size
        val runs = ArrayList<Run>()
        var isOpen = false
        for (word in words(places)) {
            val scores = softmax(logits.copyOfRange(word.token * labels, (word.token + 1) * labels))
            val best = indexOfBest(scores)
            val tag = spec.labels[best]
            val label = if (tag.startsWith("B-") || tag.startsWith("I-")) tag.substring(2) else tag
            if (tag == "O") {
                isOpen = false
            } else if (isOpen && !tag.startsWith("B-") && runs.last().label == label) {
                runs.last().end = word.end
                runs.last().scores += scores[best]
            } else {
                runs += Run(label, word.start, word.end, mutableListOf(scores[best]))
                isOpen = true
            }
        }
        return TokenClassification(
            encoded, runs.map {
                Entity(it.label, it.scores.average(), it.start, it.end, between(places.first, it.start, it.end))
            }
        )
    }

    private fun words(places: TextPlaces): List<Word> {
        val found = ArrayList<Word>()
        var previous: Int? = null
        places.words.forEachIndexed { token, word ->
            if (word == null) return@forEachIndexed
            if (word == previous) found.last().end = places.ends[token]
            else found += Word(token, places.starts[token], places.ends[token])
            previous = word
        }
        return found
    }
}
