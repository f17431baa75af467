package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens

/** <s> first </s> and </s> second </s>, all of type 0, offsets without spaces. */
internal class RobertaProcessing(part: Part) : PostProcessor {
    private val cls = SpecialToken(part, "cls")
    private val sep = SpecialToken(part, "sep")
    private val trimOffsets = part.boolean("trim_offsets")
    private val addPrefixSpace = part.boolean("add_prefix_space")

    override fun added(isPair: Boolean) = if (isPair) 4 else 2

    override fun process(parts: List<Tokens>) = parts.mapIndexed { index, tokens ->
        if (trimOffsets) trimOffsets(tokens, addPrefixSpace)
        val plain = tokens.with(types = IntArray(tokens.size))
        surrounded((if (index == 0) cls else sep).tokens(0), plain, sep.tokens(0), minOf(index, 1))
    }
}
