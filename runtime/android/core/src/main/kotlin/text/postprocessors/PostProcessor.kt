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
internal fun readPostProcessor(part: Part): PostProcessor = when (val type = part.string("type")) {
    "BertProcessing" -> BertProcessing(part)
    "ByteLevel" -> ByteLevelProcessing(part)
    "RobertaProcessing" -> RobertaProcessing(part)
    "Sequence" -> PostProcessorSequence(part.parts("processors").map(::readPostProcessor))
    "TemplateProcessing" -> TemplateProcessing(part)
    else -> part.unsupported("post-processor '$type' isn't known")
}

private class PostProcessorSequence(private val all: List<PostProcessor>) : PostProcessor {
    override fun added(isPair: Boolean) = all.sumOf { it.added(isPair) }

    override fun process(parts: List<Tokens>) = all.fold(parts) { done, next -> next.process(done) }
}
