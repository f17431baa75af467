package edgeformer.runtime.text.models

import edgeformer.runtime.InputError
import edgeformer.runtime.text.Part

/** Adds a token: its id, and the characters of the word that it stands for: [from, to), counted in the buffer. */
internal fun interface AddToken {
    fun add(id: Int, from: Int, to: Int)
}

/** What every model of a tokenizer is. */
internal interface Model {
    /** How many tokens it counts: an added token that it lacks gets the next id. */
    val size: Int

    /** The id of a token; null where it has none. */
    fun idOf(token: String): Int?

    /** A token's text, as its vocabulary writes it; null where the text that it stands for counts. */
    fun textOf(id: Int): String?

    /** The tokens of the word characters[from … to-1]. */
    fun tokenize(characters: IntArray, from: Int, to: Int, add: AddToken)
}

/** A model whose vocabulary is an object of tokens and ids. */
internal abstract class VocabularyModel(part: Part) : Model {
    protected val vocabulary: Map<String, Int> = part.vocabulary("vocab")
    private val texts =
        HashMap<Int, String>(2 * vocabulary.size).apply { for ((token, id) in vocabulary) put(id, token) }

    override val size get() = vocabulary.size

    override fun idOf(token: String) = vocabulary[token]

    override fun textOf(id: Int) = texts[id]
}

/** By its type in a tokenizer.json; raises RuntimeBundleError for one that this runtime doesn't know. */
internal fun readModel(part: Part): Model {
    val type = if (part.has("type")) part.string("type") else guessed(part)
    return when (type) {
        "BPE" -> Bpe(part)
        "Unigram" -> Unigram(part)
        "WordLevel" -> WordLevel(part)
        "WordPiece" -> WordPiece(part)
        else -> part.unsupported("model '$type' isn't known")
    }
}

/** Files of early releases don't say the type; these fields tell them apart. */
private fun guessed(part: Part): String = when {
    part.has("merges") -> "BPE"
    part.has("max_input_chars_per_word") -> "WordPiece"
    part.value("vocab") is List<*> -> "Unigram"
    else -> "WordLevel"
}

/** Raises InputError: a text holds what the vocabulary lacks, and it has no token for such. */
internal fun refuseUnknown(token: String?): Nothing {
    val lacks =
        if (token == null) "names no token for unknown text" else "lacks its own token for unknown text, '$token'"
    throw InputError("text: holds characters that the tokenizer doesn't know, and its vocabulary $lacks")
}

/** How a vocabulary writes a byte on its own. */
internal fun byteToken(byte: Int): String = "<0x${byte.toString(16).uppercase().padStart(2, '0')}>"
