package edgeformer.runtime.text

import edgeformer.runtime.bundle.Fields
import edgeformer.runtime.bundle.Preprocess
import edgeformer.runtime.bundle.aBoolean
import edgeformer.runtime.bundle.aListOf
import edgeformer.runtime.bundle.aMapOf
import edgeformer.runtime.bundle.aName
import edgeformer.runtime.bundle.aPath
import edgeformer.runtime.bundle.aString
import edgeformer.runtime.bundle.anInt
import edgeformer.runtime.bundle.anInteger
import edgeformer.runtime.bundle.oneOf
import edgeformer.runtime.bundle.orNull
import edgeformer.runtime.bundle.refuse
import edgeformer.runtime.bundle.wrong

private const val MAX_TOKENS = 1 shl 20

/** How text becomes input tensors; FORMAT.md says what each means. [maxLength]: tokens, special ones included. */
class TextPreprocess internal constructor(
    val tokenizer: String,
    val maxLength: Int,
    val padTokenId: Long,
    val takesText: Boolean,
    val takesPair: Boolean,
    val truncatesLeft: Boolean,
    internal val cut: Cut,
    val padToMax: Boolean,
    val prompts: Map<String, String>,
    val defaultPrompt: String?,
) : Preprocess {
    override val kind: String get() = "text"
    override val files: List<String> get() = listOf(tokenizer)
}

internal fun readTextPreprocess(value: Any?, where: String): TextPreprocess {
    val fields = Fields(value, where)
    fields.take("kind", oneOf("text"))
    val takes = fields.take("takes", aListOf(oneOf("text", "pair")), listOf("text"))
    val preprocess = TextPreprocess(
        tokenizer = fields.take("tokenizer", aPath),
        maxLength = fields.take("max_length", anInt(1, MAX_TOKENS)),
        padTokenId = fields.take("pad_token_id", anInteger(0)),
        takesText = "text" in takes,
        takesPair = "pair" in takes,
        truncatesLeft = fields.take("truncation", oneOf("right", "left"), "right") == "left",
        cut = if (fields.take("cut", oneOf("longest", "second"), "longest") == "second") Cut.SECOND else Cut.LONGEST,
        padToMax = fields.take("pad_to_max", aBoolean, false),
        prompts = fields.take("prompts", aMapOf(aString), emptyMap()),
        defaultPrompt = fields.take("default_prompt", orNull(aName), null),
    )
    fields.finish()
    if (takes.isEmpty()) wrong("$where.takes", "text, pair or both", takes)
    if (preprocess.defaultPrompt != null && preprocess.defaultPrompt !in preprocess.prompts) {
        refuse("$where.default_prompt '${preprocess.defaultPrompt}' is none of its prompts")
    }
    return preprocess
}
