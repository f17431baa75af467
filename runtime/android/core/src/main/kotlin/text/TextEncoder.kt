package edgeformer.runtime.text

import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.TensorSpec
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.tasks.Encoded
import edgeformer.runtime.tasks.TextPlaces

private val ROLES = listOf("tokens", "mask", "token_types")

/**
 * Makes [inputs] of texts, as [preprocess] says; may be used from several threads, which take turns. [content]: the
 * tokenizer.json.
 *
 * Raises RuntimeBundleError for a part or a setting of it that this runtime doesn't know.
 */
internal class TextEncoder(
    content: ByteArray,
    private val preprocess: TextPreprocess,
    private val inputs: List<TensorSpec>,
) {
    private val tokenizer = Tokenizer(content)
    private val truncation = Truncation(preprocess.maxLength, preprocess.cut, preprocess.truncatesLeft)

    /**
     * One text or pair, ready to run. [prompt] names what is put before it: null is the bundle's default, "" is
     * nothing.
     *
     * Raises InputError for what the model doesn't take, an empty result, and what can't be cut to fit;
     * RuntimeBundleError for inputs that no text makes.
     */
    fun encode(text: String, second: String?, prompt: String?): Encoded {
        checkRoles()
        if (if (second == null) !preprocess.takesText else !preprocess.takesPair) {
            val expected = if (second == null) "pairs of texts, got one text" else "no pairs of texts, got one"
            throw InputError("predict: this model takes $expected")
        }
        val before = promptText(prompt)
        val found = synchronized(tokenizer) { tokenizer.encode(before + text, second, truncation) }
        if (found.ids.isEmpty()) throw InputError("text '${text.take(60)}' gives no tokens: expected some text")
        val isPairCutAnywhere = second != null && preprocess.cut == Cut.LONGEST
        return Encoded(
            feeds = inputs.associate { it.name to tensor(it, found) },
            tokens = found.ids.size,
            truncated = found.tokensCut > 0,
            tokensCut = found.tokensCut.takeIf { it == 0 || !isPairCutAnywhere },
            text = places(found, before.codePointCount(0, before.length), text, second),
        )
    }

    /** Not when it is made: a session opens all the same, for arrays. */
    private fun checkRoles() {
        val unknown = inputs.filter { it.role !in ROLES }
        if (unknown.isNotEmpty()) {
            throw RuntimeBundleError(
                "inputs ${unknown.joinToString { it.name }} can't be made from text: expected roles " +
                    "${ROLES.joinToString()}. Use Session.run with arrays"
            )
        }
    }

    /** int64 [1, tokens]. */
    private fun tensor(spec: TensorSpec, found: Encoding): Tensor {
        val size = if (preprocess.padToMax) maxOf(preprocess.maxLength, found.ids.size) else found.ids.size
        val values = LongArray(size) { index ->
            val isPadding = index >= found.ids.size
            when (spec.role) {
                "tokens" -> if (isPadding) preprocess.padTokenId else found.ids[index].toLong()
                "mask" -> if (isPadding) 0L else 1L
                else -> if (isPadding) 0L else found.types[index].toLong()
            }
        }
        return Tensor.of(values, 1, size)
    }

    /** Places in the text without its prompt, which has [prompt] code points; tokens wholly in it are in no text. */
    private fun places(found: Encoding, prompt: Int, text: String, second: String?): TextPlaces {
        fun before(index: Int) = if (found.texts[index] == 0) prompt else 0
        fun isInside(index: Int) = found.starts[index] >= before(index) || found.ends[index] > before(index)
        val indices = found.ids.indices
        return TextPlaces(
            starts = IntArray(found.ids.size) { if (isInside(it)) maxOf(found.starts[it] - before(it), 0) else 0 },
            ends = IntArray(found.ids.size) { if (isInside(it)) found.ends[it] - before(it) else 0 },
            words = indices.map { index -> found.words[index].takeIf { isInside(index) } },
            texts = indices.map { index -> found.texts[index].takeIf { isInside(index) } },
            first = text,
            second = second,
        )
    }

    private fun promptText(name: String?): String {
        val wanted = name ?: preprocess.defaultPrompt
        if (wanted.isNullOrEmpty()) return ""
        return preprocess.prompts[wanted]
            ?: throw InputError(
                "prompt '$wanted': the bundle has no prompt of this name, it has " +
                    "${preprocess.prompts.keys.joinToString().ifEmpty { "none" }}"
            )
    }
}

/** Raise EngineError where a golden text gives other inputs here than when the bundle was made. */
internal fun checkPreprocessing(bundle: Bundle, encoder: TextEncoder) {
    val golden = readGolden(bundle) ?: return
    golden.texts.forEachIndexed { index, text ->
        if (text == null) return@forEachIndexed
        val made = encoder.encode(text.text, text.second, text.prompt).feeds
        val different = made.filter { (name, tensor) -> golden.rows[index][name]?.contentEquals(tensor) != true }.keys
        if (different.isNotEmpty()) {
            throw EngineError(
                "golden.json: row $index: the text '${text.text.take(40)}' gives other ${different.joinToString()} " +
                    "here than when the bundle was made: this runtime reads its tokenizer.json differently: make " +
                    "token ids yourself, for Session.run"
            )
        }
    }
}
