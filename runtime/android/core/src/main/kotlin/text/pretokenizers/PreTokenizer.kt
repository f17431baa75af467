package edgeformer.runtime.text.pretokenizers

import edgeformer.runtime.text.Cutter
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Pieces
import edgeformer.runtime.text.Unicode
import edgeformer.runtime.text.regex.readPattern

/** What every pre-tokenizer is. */
internal fun interface PreTokenizer {
    fun preTokenize(pieces: Pieces): Pieces
}

/** By its type in a tokenizer.json; raises RuntimeBundleError for one that this runtime doesn't know. */
internal fun readPreTokenizer(part: Part): PreTokenizer = when (val type = part.string("type")) {
    "BertPreTokenizer" -> cutting(
        atCharacters("Removed") { it in Unicode.whitespace }, atCharacters("Isolated") { it in Unicode.punctuation }
    )
    "ByteLevel" -> ByteLevel(part)
    "CharDelimiterSplit" -> part.character("delimiter").let { delimiter ->
        cutting(atCharacters("Removed") { it == delimiter })
    }
    "Digits" -> cutting(
        atCharacters(if (part.boolean("individual_digits")) "Isolated" else "Contiguous") { it in Unicode.numeric }
    )
    "Metaspace" -> Metaspace(part)
    "Punctuation" -> cutting(
        atCharacters(if (part.has("behavior")) behavior(part) else "Isolated") { it in Unicode.punctuation }
    )
    "Sequence" -> part.parts("pretokenizers").map(::readPreTokenizer)
        .let { all -> PreTokenizer { pieces -> all.fold(pieces) { done, next -> next.preTokenize(done) } } }
    "Split" -> cutting(atMatches(readPattern(part), behavior(part), part.boolean("invert")))
    "Whitespace" -> cutting(Cutter(::cutAtKinds))
    "WhitespaceSplit" -> cutting(atCharacters("Removed") { it in Unicode.whitespace })
    else -> part.unsupported("pre-tokenizer '$type' isn't known")
}

private fun behavior(part: Part): String = part.oneOf("behavior", BEHAVIORS)

private fun cutting(vararg cutters: Cutter) =
    PreTokenizer { pieces -> cutters.fold(pieces) { done, cutter -> done.cut(cutter) } }
