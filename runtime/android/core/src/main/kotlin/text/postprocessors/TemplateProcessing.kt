package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens

/** [text]: 0 or 1, or null for the special tokens [ids], written as [texts]. */
private class Piece(val text: Int?, val type: Int, val ids: IntArray, val texts: List<String>)

/** The texts and special tokens in the order of a template, each with its type. */
internal class TemplateProcessing(part: Part) : PostProcessor {
    private val single: List<Piece>
    private val pair: List<Piece>

    init {
        val special = part.part("special_tokens")
        single = part.parts("single").map { readPiece(it, special) }
        pair = part.parts("pair").map { readPiece(it, special) }
        if (single.any { it.text == 1 }) part.unsupported("a template for one text that names a second")
    }

    override fun added(isPair: Boolean) = (if (isPair) pair else single).sumOf { it.ids.size }

    override fun process(parts: List<Tokens>) = (if (parts.size == 2) pair else single).map { piece ->
        if (piece.text == null) Tokens.special(piece.ids, piece.texts, piece.type) else {
            val tokens = parts[piece.text]
            tokens.with(IntArray(tokens.size) { piece.type }, tokens.ranges + (piece.text to tokens.ids.indices))
        }
    }

    private fun readPiece(piece: Part, special: Part): Piece {
        if (piece.has("Sequence")) {
            val text = piece.part("Sequence")
            val index = if (text.oneOf("id", listOf("A", "B")) == "A") 0 else 1
            return Piece(index, text.integer("type_id"), IntArray(0), emptyList())
        }
        val named = piece.part("SpecialToken")
        val token = special.part(named.string("id"))
        val ids = token.list("ids").map { token.toInteger(it, "ids") }
        val texts = token.list("tokens").map { it as? String ?: token.wrong("tokens", "strings", it) }
        if (ids.size != texts.size) token.wrong("tokens", "as many tokens as ids, ${ids.size}", texts)
        return Piece(null, named.integer("type_id"), ids.toIntArray(), texts)
    }
}
