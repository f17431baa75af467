package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.codePoints

/** A string before a text that isn't empty. */
internal class Prepend(part: Part) : Normalizer {
    private val before = codePoints(part.string("prepend"))

    override fun normalize(text: NormalizedText) {
        if (text.size == 0) return
        val characters = IntList(text.size + before.size)
        val origins = IntList(text.size + before.size)
        for (character in before) {
            characters.add(character)
            origins.add(0)
        }
        text.characters.forEachIndexed { index, character ->
            characters.add(character)
            origins.add(index)
        }
        text.replace(characters, origins)
    }
}
