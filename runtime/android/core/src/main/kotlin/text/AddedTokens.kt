package edgeformer.runtime.text

import edgeformer.runtime.text.models.Model
import edgeformer.runtime.text.normalizers.Normalizer

/**
 * [singleWord]: only where no word character stands beside it; [leftStrip], [rightStrip]: it takes white space there.
 */
private class AddedToken(
    val id: Int,
    val content: String,
    val singleWord: Boolean,
    val leftStrip: Boolean,
    val rightStrip: Boolean,
    val normalized: Boolean,
)

/** Called with each part [from, to) of a text in order, and the id of the added token that it is, or -1. */
internal fun interface TakePart {
    fun take(from: Int, to: Int, token: Int)
}

/** Tokens beside the model's that are looked for at one time; of several that begin at one place the longest counts. */
internal class Matcher private constructor(tokens: List<Pair<AddedToken, IntArray>>) {
    private val trie = Trie(64)
    private val beginnings = CharacterSet()
    private val byId = HashMap<Int, AddedToken>()

    init {
        for ((token, written) in tokens) {
            if (written.isEmpty()) {
                refuseTokenizer("tokenizer.json: added token '${token.content}' is empty when it is normalized")
            }
            val known = trie.walk(written)
            if (known != -1 && trie.value(known) != -1) {
                val other = byId.getValue(trie.value(known)).content
                refuseTokenizer("tokenizer.json: added tokens '${token.content}' and '$other' can't be told apart")
            }
            trie.add(written, token.id)
            beginnings.add(written[0])
            byId[token.id] = token
        }
    }

    /** Cuts [characters] at the tokens in them. */
    fun split(characters: IntArray, take: TakePart) {
        var done = 0
        var position = 0
        while (byId.isNotEmpty() && position < characters.size) {
            val end = if (characters[position] in beginnings) longest(characters, position) else -1
            if (end == -1) {
                position++
                continue
            }
            val token = byId.getValue(trie.value(trie.walk(characters, position, end)))
            if (!token.singleWord || standsAlone(characters, position, end)) {
                var from = position
                var to = end
                if (token.leftStrip) while (from > done && characters[from - 1] in Unicode.whitespace) from--
                if (token.rightStrip) while (to < characters.size && characters[to] in Unicode.whitespace) to++
                if (done < from) take.take(done, from, -1)
                take.take(from, to, token.id)
                done = to
            }
            position = end
        }
        if (done < characters.size) take.take(done, characters.size, -1)
    }

    /** Where the longest token ends that begins at [position]; -1 where none does. */
    private fun longest(characters: IntArray, position: Int): Int {
        var node = Trie.ROOT
        var end = -1
        for (next in position until characters.size) {
            node = trie.child(node, characters[next])
            if (node == -1) break
            if (trie.value(node) != -1) end = next + 1
        }
        return end
    }

    private fun standsAlone(characters: IntArray, from: Int, to: Int): Boolean {
        fun isFree(position: Int) = position !in characters.indices || characters[position] !in Unicode.word
        return isFree(from - 1) && isFree(to)
    }

    companion object {
        /** (for the text as it is, for the normalized one) of a tokenizer's added tokens. */
        fun read(parts: List<Part>, model: Model, normalizer: Normalizer?): Pair<Matcher, Matcher> {
            val tokens = LinkedHashMap<Int, AddedToken>()
            val ids = HashMap<String, Int>()
            // The file's own ids don't count: that is what `tokenizers` does with them.
            var next = model.size
            for (part in parts) {
                val content = part.string("content")
                if (content.isEmpty()) continue
                val id = ids[content] ?: model.idOf(content) ?: next++
                ids[content] = id
                tokens[id] = AddedToken(
                    id, content, part.boolean("single_word"), part.boolean("lstrip"), part.boolean("rstrip"),
                    part.boolean("normalized")
                )
                part.boolean("special") // of use to decoders alone
            }
            val (normalized, plain) = tokens.values.map { token ->
                val text = NormalizedText.of(codePoints(token.content))
                if (token.normalized) normalizer?.normalize(text)
                token to text.characters
            }.partition { it.first.normalized }
            return Matcher(plain) to Matcher(normalized)
        }
    }
}
