package edgeformer.runtime.text

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.text.models.readModel
import edgeformer.runtime.text.normalizers.readNormalizer
import edgeformer.runtime.text.postprocessors.readPostProcessor
import edgeformer.runtime.text.pretokenizers.readPreTokenizer

private const val MAX_BYTES = 256 shl 20
private const val MAX_VALUES = 20_000_000
private val DECODERS = listOf(
    "BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece"
)

/**
 * The tokens of a text or a pair, special ones included: arrays of one length.
 *
 * [starts] and [ends] are code points of the text that a token is of, 0 for special ones; [words] and [texts] are null
 * for them. [tokensCut]: how many were left out.
 */
internal class Encoding(
    val ids: IntArray,
    val types: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val words: List<Int?>,
    val texts: List<Int?>,
    val tokensCut: Int,
)

/** The tokens of one text before anything is cut or added: [from] and [to] are characters of [pieces]. */
private class RawTokens(val pieces: Pieces) {
    val ids = IntList()
    val words = IntList()
    val from = IntList()
    val to = IntList()
}

/**
 * A tokenizer.json, opened: texts to tokens exactly as Python's package `tokenizers` makes them. Not for several
 * threads.
 */
internal class Tokenizer(content: ByteArray) {
    private val root = try {
        Part(readJson(content, "tokenizer.json", MAX_BYTES, MAX_VALUES), "tokenizer.json")
    } catch (error: RuntimeBundleError) {
        refuseTokenizer(error.message.orEmpty())
    }

    init {
        if (root.has("version")) root.oneOf("version", listOf("1.0"))
    }

    private val normalizer = if (root.has("normalizer")) readNormalizer(root.part("normalizer")) else null
    private val preTokenizer = if (root.has("pre_tokenizer")) readPreTokenizer(root.part("pre_tokenizer")) else null
    private val model = readModel(root.part("model"))
    private val postProcessor = if (root.has("post_processor")) readPostProcessor(root.part("post_processor")) else null
    private val plain: Matcher
    private val normalized: Matcher

    init {
        val added = if (root.has("added_tokens")) root.parts("added_tokens") else emptyList()
        val (plain, normalized) = Matcher.read(added, model, normalizer)
        this.plain = plain
        this.normalized = normalized
        if (root.has("decoder")) checkDecoder(root.part("decoder"))
    }

    /**
     * Encodes a text, or a pair, cut as [truncation] says (null: not at all); nothing is padded. Raises InputError for
     * half a surrogate pair, for what can't be cut to fit, and where the text holds what the tokenizer has no token
     * for.
     */
    fun encode(text: String, second: String? = null, truncation: Truncation? = null): Encoding {
        val raw = listOfNotNull(text, second).map(::rawTokens)
        val lengths = raw.map { it.ids.size }
        val added = postProcessor?.added(lengths.size == 2) ?: 0
        val cut = truncation ?: Truncation(Int.MAX_VALUE)
        if (cut.maxLength < added) {
            throw InputError("text: ${cut.maxLength} tokens have no room for the $added special ones")
        }
        val kept = keptLengths(lengths, cut.maxLength - added, cut.cut)
        val parts = raw.mapIndexed { index, tokens -> tokens(tokens, index, kept[index], cut.fromLeft) }
        val tokens = Tokens.joined(postProcessor?.process(parts) ?: parts)
        val words = tokens.words.map { if (it == NONE) null else it }
        return Encoding(
            tokens.ids, tokens.types, tokens.starts, tokens.ends, words, tokens.textOfEach(), lengths.sum() - kept.sum()
        )
    }

    private fun rawTokens(text: String): RawTokens {
        val pieces = pieces(codePoints(text))
        val words = preTokenizer?.preTokenize(pieces) ?: pieces
        val found = RawTokens(words)
        for (word in 0 until words.size) {
            fun add(id: Int, from: Int, to: Int) {
                found.ids.add(id)
                found.words.add(word)
                found.from.add(from)
                found.to.add(to)
            }
            if (words.token(word) != -1) add(words.token(word), words.from[word], words.to[word])
            else model.tokenize(words.characters, words.from[word], words.to[word], ::add)
        }
        return found
    }

    /** The text normalized, with the added tokens as pieces. */
    private fun pieces(characters: IntArray): Pieces {
        val builder = PiecesBuilder(characters.size)
        plain.split(characters) { from, to, token ->
            val text = NormalizedText.of(characters, from, to)
            if (token != -1) {
                builder.append(text, 0, text.size)
                builder.endPiece(token)
            } else {
                normalizer?.normalize(text)
                normalized.split(text.characters) { start, end, found ->
                    builder.append(text, start, end)
                    builder.endPiece(found)
                }
            }
        }
        return builder.build()
    }

    /** [count] tokens of text [index], from its end or from its beginning. */
    private fun tokens(raw: RawTokens, index: Int, count: Int, fromEnd: Boolean): Tokens {
        val first = if (fromEnd) raw.ids.size - count else 0
        val pieces = raw.pieces
        return Tokens(
            ids = IntArray(count) { raw.ids[first + it] },
            types = IntArray(count) { index },
            starts = IntArray(count) { pieces.starts[raw.from[first + it]] },
            ends = IntArray(count) { pieces.ends[raw.to[first + it] - 1] },
            words = IntArray(count) { raw.words[first + it] },
            texts = lazy(LazyThreadSafetyMode.NONE) { List(count) { written(raw, first + it) } },
            ranges = mapOf(index to (0 until count)),
        )
    }

    /** Token [place] as the vocabulary writes it; of an added or unknown one what it stands for. */
    private fun written(raw: RawTokens, place: Int): String {
        val isAdded = raw.pieces.token(raw.words[place]) != -1
        return model.textOf(raw.ids[place])?.takeIf { !isAdded }
            ?: textOf(raw.pieces.characters, raw.from[place], raw.to[place])
    }
}

/** Texts to tokens need none, but a file with an unknown one is of another release: Python refuses it as well. */
private fun checkDecoder(part: Part) {
    val type = part.string("type")
    if (type !in DECODERS) part.unsupported("decoder '$type' isn't known")
    if (type == "Sequence") part.parts("decoders").forEach(::checkDecoder)
}
