package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens

/** [CLS] first [SEP] second [SEP]. */
internal class BertProcessing(part: Part) : PostProcessor {
    private val cls = SpecialToken(part, "cls")
    private val sep = SpecialToken(part, "sep")

    override fun added(isPair: Boolean) = if (isPair) 3 else 2

    override fun process(parts: List<Tokens>) =
        parts.mapIndexed { index, tokens ->
            surrounded(cls.tokens(0).takeIf { index == 0 }, tokens, sep.tokens(minOf(index, 1)), minOf(index, 1))
        }
}
