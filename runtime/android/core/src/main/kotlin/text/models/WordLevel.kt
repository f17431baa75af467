package edgeformer.runtime.text.models

import edgeformer.runtime.text.Part
import edgeformer.runtime.text.textOf

/** A word is a token. */
internal class WordLevel(part: Part) : VocabularyModel(part) {
    private val unknown = part.string("unk_token")

    override fun tokenize(characters: IntArray, from: Int, to: Int, add: AddToken) {
        val id = vocabulary[textOf(characters, from, to)] ?: vocabulary[unknown] ?: refuseUnknown(unknown)
        add.add(id, from, to)
    }
}
