package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens

/** What every post-processor is. */
internal interface PostProcessor {
    /** How many tokens it adds to a text, or to a pair. */
    fun added(isPair: Boolean): Int

    /** [parts]: the tokens of each text in turn; once one post-processor was there, with its own between them. */
    fun process(parts: List<Tokens>): List<Tokens>
}

/** By its type in a tokenizer.json; raises RuntimeBundleError for one that this runtime doesn't know. */
internal fun readPostProcessor(part: Part): PostProcessor {
    val type = part.string("type")
    if (part.has("cls") && part.has("sep")) { // two that `tokenizers` tells by their keys, whatever the type
        val isRoberta = part.has("trim_offsets") && part.has("add_prefix_space")
        val meant = if (isRoberta) "RobertaProcessing" else "BertProcessing"
        if (type != meant) part.unsupported("post-processor '$type' has the keys of $meant")
    }
    return when (type) {
        "BertProcessing" -> BertProcessing(part)
        "ByteLevel" -> ByteLevelProcessing(part)
        "RobertaProcessing" -> RobertaProcessing(part)
        "Sequence" -> PostProcessorSequence(part.parts("processors").map(::readPostProcessor))
        "TemplateProcessing" -> TemplateProcessing(part)
        else -> part.unsupported("post-processor '$type' isn't known")
    }
}

private class PostProcessorSequence(private val all: List<PostProcessor>) : PostProcessor {
    override fun added(isPair: Boolean) = all.sumOf { it.added(isPair) }

    override fun process(parts: List<Tokens>) = all.fold(parts) { done, next -> next.process(done) }
}
