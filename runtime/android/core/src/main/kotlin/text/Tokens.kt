package edgeformer.runtime.text

/** Stands for null in `words`: a post-processor put the token there. */
internal const val NONE = -1

/**
 * Tokens of a text with what is known of each: arrays of one length. [texts] are the tokens as the vocabulary writes
 * them; [ranges]: which text (0 or 1) → its tokens [from, to).
 */
internal class Tokens(
    val ids: IntArray,
    val types: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val words: IntArray,
    val texts: Lazy<List<String>>,
    val ranges: Map<Int, IntRange>,
) {
    val size: Int get() = ids.size

    fun with(types: IntArray = this.types, ranges: Map<Int, IntRange> = this.ranges) =
        Tokens(ids, types, starts, ends, words, texts, ranges)

    /** For each token the text that it is of; null for those that were added. */
    fun textOfEach(): List<Int?> {
        val found = arrayOfNulls<Int>(size)
        for (text in 0 until maxOf(ranges.size, 1)) for (index in ranges[text] ?: ids.indices) found[index] = text
        return found.toList()
    }

    companion object {
        /** Tokens that a post-processor adds: they stand for no text. */
        fun special(ids: IntArray, texts: List<String>, type: Int) = Tokens(
            ids, IntArray(ids.size) { type }, IntArray(ids.size), IntArray(ids.size), IntArray(ids.size) { NONE },
            lazyOf(texts), emptyMap()
        )

        /** All of them, one after the other. */
        fun joined(parts: List<Tokens>): Tokens {
            fun all(values: (Tokens) -> IntArray) = parts.map(values).fold(IntArray(0)) { all, next -> all + next }
            val ranges = HashMap<Int, IntRange>()
            var before = 0
            for (part in parts) {
                for ((text, range) in part.ranges) ranges[text] = before + range.first..before + range.last
                before += part.size
            }
            return Tokens(
                all { it.ids },
                all { it.types },
                all { it.starts },
                all { it.ends },
                all { it.words },
                lazy(LazyThreadSafetyMode.NONE) { parts.flatMap { it.texts.value } },
                ranges,
            )
        }
    }
}
