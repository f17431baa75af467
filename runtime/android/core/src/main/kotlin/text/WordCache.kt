package edgeformer.runtime.text

private const val MOST_WORDS = 10_000

/** Results of words that were met before: texts repeat them. */
internal class WordCache<T : Any> {
    private val results = HashMap<String, T>()

    /** The result for characters[from … to-1], computed where it isn't known yet. */
    inline fun get(characters: IntArray, from: Int, to: Int, compute: () -> T): T {
        if (to - from > LONGEST) return compute()
        val word = textOf(characters, from, to)
        return known(word) ?: compute().also { keep(word, it) }
    }

    fun known(word: String): T? = results[word]

    fun keep(word: String, result: T) {
        if (results.size < MOST_WORDS) results[word] = result
    }

    companion object {
        const val LONGEST = 64 // characters
    }
}
