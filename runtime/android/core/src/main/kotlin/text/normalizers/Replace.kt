package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.codePoints
import edgeformer.runtime.text.regex.readPattern

/** A string instead of every match of a pattern. */
internal class Replace(part: Part) : Normalizer {
    private val pattern = readPattern(part)
    private val content = codePoints(part.string("content"))

    override fun normalize(text: NormalizedText) {
        val matches = pattern.findAll(text.characters, 0, text.size)
        if (matches.size == 0) return
        val characters = IntList(text.size)
        val origins = IntList(text.size)
        var done = 0
        fun keepTo(end: Int) {
            while (done < end) {
                characters.add(text.characters[done])
                origins.add(done++)
            }
        }
        for (index in 0 until matches.size step 2) {
            keepTo(matches[index])
            done = matches[index + 1]
            for (character in content) {
                characters.add(character)
                origins.add(done - 1) // what stands instead of a match comes from its last character
            }
        }
        keepTo(text.size)
        text.replace(characters, origins)
    }
}
