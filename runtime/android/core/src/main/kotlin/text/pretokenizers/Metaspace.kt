package edgeformer.runtime.text.pretokenizers

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Pieces
import edgeformer.runtime.text.SPACE

/** A visible character stands for each space, and a word begins with it. */
internal class Metaspace(part: Part) : PreTokenizer {
    private val replacement = part.character("replacement")
    private val scheme =
        if (part.has("prepend_scheme")) part.oneOf("prepend_scheme", listOf("always", "first", "never")) else "always"
    private val split = part.boolean("split", true)

    init {
        if (!part.boolean("add_prefix_space", true) && scheme != "never") {
            part.wrong("prepend_scheme", "never, since add_prefix_space is false", scheme)
        }
    }

    override fun preTokenize(pieces: Pieces): Pieces {
        val words = pieces.rewrite { from, to, write ->
            val first = pieces.characters[from]
            val isMissing = first != replacement && first != SPACE
            if (isMissing && (scheme == "always" || (scheme == "first" && pieces.starts[from] == 0))) {
                write.write(replacement, from)
            }
            for (position in from until to) {
                val character = pieces.characters[position]
                write.write(if (character == SPACE) replacement else character, position)
            }
        }
        return if (split) words.cut(atCharacters("MergedWithNext") { it == replacement }) else words
    }
}
