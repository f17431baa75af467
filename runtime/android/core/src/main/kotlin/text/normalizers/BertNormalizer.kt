package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.SPACE
import edgeformer.runtime.text.Unicode

/** Control characters go, white space becomes spaces, spaces around Chinese characters, accents go. */
internal class BertNormalizer(part: Part) : Normalizer {
    private val cleanText = part.boolean("clean_text")
    private val handleChinese = part.boolean("handle_chinese_chars")
    private val lowercase = part.boolean("lowercase")
    private val stripAccents = part.boolean("strip_accents", lowercase)

    override fun normalize(text: NormalizedText) {
        if (cleanText) {
            text.filter { it !in Unicode.bertRemoved }
            text.spaceFor { it in Unicode.whitespace }
        }
        if (handleChinese && text.characters.any { it in Unicode.bertChinese }) surroundChinese(text)
        if (stripAccents) {
            UnicodeForm(isCompatible = false, isComposed = false).normalize(text)
            text.filter { it !in Unicode.nonspacingMark }
        }
        if (lowercase) lowercase(text)
    }

    private fun surroundChinese(text: NormalizedText) {
        val characters = IntList(text.size + 16)
        val origins = IntList(text.size + 16)
        text.characters.forEachIndexed { index, character ->
            val isChinese = character in Unicode.bertChinese
            for (written in if (isChinese) intArrayOf(SPACE, character, SPACE) else intArrayOf(character)) {
                characters.add(written)
                origins.add(index)
            }
        }
        text.replace(characters, origins)
    }
}
