package edgeformer.runtime.tasks

import edgeformer.runtime.InputError
import kotlin.math.abs
import kotlin.math.sqrt

/**
 * How near two vectors are, larger is nearer; [name] is the manifest's (`task.similarity`), null is cosine.
 *
 * Euclidean and Manhattan are negated distances. -infinity where a vector isn't finite. Raises InputError for other
 * lengths or another name.
 */
fun similarity(first: FloatArray, second: FloatArray, name: String? = null): Double {
    if (first.size != second.size) throw InputError("similarity: vectors of ${first.size} and ${second.size} numbers")
    if (!(first.all { it.isFinite() } && second.all { it.isFinite() })) return Double.NEGATIVE_INFINITY
    fun sum(term: (Double, Double) -> Double): Double {
        var total = 0.0
        for (index in first.indices) total += term(first[index].toDouble(), second[index].toDouble())
        return total
    }
    return when (name) {
        null, "cosine" ->
            sum { a, b -> a * b } / maxOf(sqrt(sum { a, _ -> a * a }) * sqrt(sum { _, b -> b * b }), 1e-12)
        "dot" -> sum { a, b -> a * b }
        "euclidean" -> -sqrt(sum { a, b -> (a - b) * (a - b) })
        "manhattan" -> -sum { a, b -> abs(a - b) }
        else -> throw InputError("similarity '$name': expected cosine, dot, euclidean or manhattan")
    }
}
