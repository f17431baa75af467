package edgeformer.runtime.text.postprocessors

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Tokens

/** The fields `cls` and `sep` of BERT's and RoBERTa's post-processors: ["[CLS]", 101]. */
internal class SpecialToken(part: Part, key: String) {
    private val text: String
    private val id: Int

    init {
        val pair = part.list(key)
        text = pair.takeIf { it.size == 2 }?.get(0) as? String ?: part.wrong(key, "a token and its id", pair)
        id = part.toInteger(pair[1], key)
    }

    fun tokens(type: Int) = Tokens.special(intArrayOf(id), listOf(text), type)
}

/** [tokens] as text [index], between those of [before] (perhaps none) and [behind]. */
internal fun surrounded(before: Tokens?, tokens: Tokens, behind: Tokens, index: Int): Tokens {
    val first = before?.size ?: 0
    return Tokens.joined(listOfNotNull(before, tokens, behind))
        .with(ranges = mapOf(index to (first until first + tokens.size)))
}
