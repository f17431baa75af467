package edgeformer.runtime.text.models

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Trie
import edgeformer.runtime.text.WordCache
import edgeformer.runtime.text.codePoints
import edgeformer.runtime.text.utf8Bytes

private const val UNKNOWN_PENALTY = 10

/** Of all ways to write a word as tokens, the one with the largest sum of scores. */
internal class Unigram(part: Part) : Model {
    private val tokens: List<String>
    private val scores: DoubleArray
    private val ids = HashMap<String, Int>()
    private val trie: Trie
    private val unknown: Int? = if (part.has("unk_id")) part.integer("unk_id") else null
    private val unknownScore: Double
    private val idOfByte: List<Int?>?
    private val cache = WordCache<IntArray>()

    init {
        val entries = part.list("vocab").map { entry ->
            val token = (entry as? List<*>)?.getOrNull(0)
            val score = entry.takeIf { entry is List<*> && entry.size == 2 }?.let { (it as List<*>)[1] }
            if (token !is String || score !is Number) part.wrong("vocab", "pairs of a token and its score", entry)
            token to scoreOf(score.toDouble())
        }
        tokens = entries.map { it.first }
        scores = DoubleArray(entries.size) { entries[it].second }
        if (unknown != null && unknown >= size) part.wrong("unk_id", "an id below $size", unknown)
        unknownScore = (scores.minOrNull() ?: Double.POSITIVE_INFINITY) - UNKNOWN_PENALTY
        trie = Trie(size * 3)
        tokens.forEachIndexed { id, token ->
            ids[token] = id
            if (token.isNotEmpty()) trie.add(codePoints(token), id)
        }
        idOfByte = if (part.boolean("byte_fallback", false)) List(256) { ids[byteToken(it)] } else null
    }

    override val size get() = tokens.size

    override fun idOf(token: String) = ids[token]

    override fun textOf(id: Int) = if (id == unknown) null else tokens.getOrNull(id)

    override fun tokenize(characters: IntArray, from: Int, to: Int, add: AddToken) {
        val found = cache.get(characters, from, to) { split(characters, from, to) }
        for (index in found.indices step 3) add.add(found[index], from + found[index + 1], from + found[index + 2])
    }

    /** Id, begin and end of each token, counted from the word's beginning, in turn. */
    private fun split(characters: IntArray, from: Int, to: Int): IntArray {
        val (lastIds, lastStarts) = bestPath(characters, from, to)
        val found = ArrayList<IntArray>() // from the end
        var end = to - from
        while (end > 0) {
            var start = lastStarts[end]
            val id = lastIds[end]
            if (id == unknown) while (start > 0 && lastIds[start] == id) start = lastStarts[start]
            for (own in resolved(id, characters, from + start, from + end).reversed()) {
                found += intArrayOf(own, start, end)
            }
            end = start
        }
        return found.asReversed().fold(IntList()) { all, token -> all.apply { addAll(token, 0, 3) } }.toArray()
    }

    /** For each place, the last token of the best way to it, and where that begins. */
    private fun bestPath(characters: IntArray, from: Int, to: Int): Pair<IntArray, IntArray> {
        val length = to - from
        val best = DoubleArray(length + 1)
        val ids = IntArray(length + 1)
        val starts = IntArray(length + 1) { -1 }
        fun offer(start: Int, end: Int, id: Int?, score: Double) {
            if (starts[end] != -1 && score <= best[end]) return
            best[end] = score
            starts[end] = start
            ids[end] = id ?: refuseUnknown(null)
        }
        for (start in 0 until length) {
            var node = Trie.ROOT
            var hasOne = false
            for (end in start until length) {
                node = trie.child(node, characters[from + end])
                if (node == -1) break
                val id = trie.value(node)
                if (id == -1) continue
                offer(start, end + 1, id, scores[id] + best[start])
                if (end == start) hasOne = true
            }
            if (!hasOne) offer(start, start + 1, unknown, unknownScore + best[start])
        }
        return ids to starts
    }

    /**
     * The ids of one token; of neighbouring unknown characters: a token that they make together, their bytes, or one.
     */
    private fun resolved(id: Int, characters: IntArray, from: Int, to: Int): List<Int> {
        if (id != unknown) return listOf(id)
        val node = trie.walk(characters, from, to)
        if (node != -1 && trie.value(node) != -1) return listOf(trie.value(node))
        if (idOfByte != null) {
            val bytes = ArrayList<Int?>()
            for (position in from until to) utf8Bytes(characters[position]) { bytes += idOfByte[it] }
            if (null !in bytes) return bytes.filterNotNull()
        }
        return listOf(id)
    }
}
