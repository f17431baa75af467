package edgeformer.runtime.text.pretokenizers

import edgeformer.runtime.text.CHARACTER_OF_BYTE
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Pieces
import edgeformer.runtime.text.SPACE
import edgeformer.runtime.text.regex.parseRegex
import edgeformer.runtime.text.utf8Bytes

private val WORDS by lazy {
    parseRegex("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+")
}

/** Words as GPT-2 has them, each byte of UTF-8 as one printable character. */
internal class ByteLevel(part: Part) : PreTokenizer {
    private val addPrefixSpace = part.boolean("add_prefix_space")
    private val useRegex = part.boolean("use_regex", true)

    init {
        part.boolean("trim_offsets") // of use to the post-processor alone
    }

    override fun preTokenize(pieces: Pieces): Pieces {
        val spaced = if (addPrefixSpace) withPrefixSpace(pieces) else pieces
        val words = if (useRegex) spaced.cut(atMatches(WORDS, "Isolated", false)) else spaced
        return words.rewrite { from, to, write ->
            for (position in from until to) {
                utf8Bytes(words.characters[position]) { write.write(CHARACTER_OF_BYTE[it], position) }
            }
        }
    }

    private fun withPrefixSpace(pieces: Pieces): Pieces = pieces.rewrite { from, to, write ->
        if (pieces.characters[from] != SPACE) write.write(SPACE, from)
        for (position in from until to) write.write(pieces.characters[position], position)
    }
}
