package edgeformer.runtime.text.models

import edgeformer.runtime.text.PairMap
import edgeformer.runtime.text.Part

/**
 * The merges of a BPE model: [ranks] of two ids, the lowest goes first; [results]: by rank, the id of what comes out.
 */
internal class Merges(val ranks: PairMap, val results: IntArray)

/** From either of the two ways to write them. */
internal fun readMerges(part: Part, vocabulary: Map<String, Int>, prefix: String): Merges {
    val written = part.list("merges").filter { it !is String || !it.startsWith("#version") }
    val ranks = PairMap(written.size)
    val results = IntArray(written.size)
    written.forEachIndexed { rank, merge ->
        val pair = if (merge is String) merge.split(" ") else merge as? List<*>
        val left = pair?.getOrNull(0)
        val right = pair?.getOrNull(1)
        if (pair?.size != 2 || left !is String || right !is String) part.wrong("merges[$rank]", "two tokens", merge)
        if (!right.startsWith(prefix)) part.wrong("merges[$rank]", "a second token that begins with '$prefix'", right)
        fun id(token: String) = vocabulary[token] ?: part.wrong("merges[$rank]", "tokens of the vocabulary", token)
        ranks[id(left), id(right)] = rank
        results[rank] = id(left + right.substring(prefix.length))
    }
    return Merges(ranks, results)
}
