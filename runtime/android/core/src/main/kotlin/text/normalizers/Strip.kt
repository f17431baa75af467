package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Unicode

/** White space at either end goes. */
internal class Strip(part: Part) : Normalizer {
    private val left = part.boolean("strip_left")
    private val right = part.boolean("strip_right")

    override fun normalize(text: NormalizedText) {
        var from = 0
        var to = text.size
        if (left) while (from < to && text.characters[from] in Unicode.whitespace) from++
        if (right) while (to > from && text.characters[to - 1] in Unicode.whitespace) to--
        text.cut(from, to)
    }
}
