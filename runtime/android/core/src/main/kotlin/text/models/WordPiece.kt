package edgeformer.runtime.text.models

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Trie
import edgeformer.runtime.text.WordCache
import edgeformer.runtime.text.codePoints

/** From the left the longest token that the word goes on with; a word that has none at some place is unknown. */
internal class WordPiece(part: Part) : VocabularyModel(part) {
    private val unknown = part.string("unk_token")
    private val longest = part.integer("max_input_chars_per_word") // a longer word is unknown
    private val trie = Trie(vocabulary.size * 3).apply { for ((token, id) in vocabulary) add(codePoints(token), id) }

    /** The node behind the prefix of tokens that begin no word; -1: there are none. */
    private val inside = trie.walk(codePoints(part.string("continuing_subword_prefix")))
    private val cache = WordCache<IntArray>()

    override fun tokenize(characters: IntArray, from: Int, to: Int, add: AddToken) {
        val tokens =
            if (to - from > longest) UNKNOWN else cache.get(characters, from, to) { split(characters, from, to) }
        if (tokens.isEmpty()) return add.add(vocabulary[unknown] ?: refuseUnknown(unknown), from, to)
        var start = from
        for (index in tokens.indices step 2) {
            val end = from + tokens[index + 1]
            add.add(tokens[index], start, end)
            start = end
        }
    }

    /** Ids, and where each token ends, counted from the word's beginning, in turn; empty where the word is unknown. */
    private fun split(characters: IntArray, from: Int, to: Int): IntArray {
        val found = IntList()
        var start = from
        while (start < to) {
            var node = if (start == from) Trie.ROOT else inside
            var id = -1
            var end = start
            var position = start
            while (position < to && node != -1) {
                node = trie.child(node, characters[position++])
                if (node == -1 || trie.value(node) == -1) continue
                id = trie.value(node)
                end = position
            }
            if (id == -1) return UNKNOWN
            found.add(id)
            found.add(end - from)
            start = end
        }
        return found.toArray()
    }

    private companion object {
        val UNKNOWN = IntArray(0)
    }
}
