package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens
import edgeformer.runtime.text.Unicode

private const val WRITTEN_SPACE = 0x120 // what byte-level models write for it

/** A token that begins or ends with spaces has offsets without them. */
internal class ByteLevelProcessing(part: Part) : PostProcessor {
    private val addPrefixSpace = part.boolean("add_prefix_space")
    private val trimOffsets = part.boolean("trim_offsets")

    override fun added(isPair: Boolean) = 0

    override fun process(parts: List<Tokens>) = parts.mapIndexed { index, tokens ->
        if (trimOffsets) trimOffsets(tokens, addPrefixSpace)
        tokens.with(ranges = tokens.ranges + (index to tokens.ids.indices))
    }
}

/** Changes the offsets of [tokens] in place. [addPrefixSpace]: the first may have one space that isn't in the text. */
internal fun trimOffsets(tokens: Tokens, addPrefixSpace: Boolean) {
    tokens.texts.value.forEachIndexed { index, text ->
        val length = text.length // spaces are one character each
        var leading = 0
        while (leading < length && isSpace(text[leading].code)) leading++
        var trailing = 0
        while (trailing < length && isSpace(text[length - 1 - trailing].code)) trailing++
        val start = tokens.starts[index]
        val end = tokens.ends[index]
        if (leading == 1 && addPrefixSpace && (index == 0 || start == 0)) leading = 0
        val trimmed = minOf(start + leading, end)
        tokens.starts[index] = trimmed
        if (trailing > 0 && end >= trailing) tokens.ends[index] = maxOf(end - trailing, trimmed)
    }
}

private fun isSpace(character: Int): Boolean = character == WRITTEN_SPACE || character in Unicode.whitespace
