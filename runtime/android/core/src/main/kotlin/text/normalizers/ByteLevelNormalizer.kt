package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.CHARACTER_OF_BYTE
import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.utf8Bytes

/** Each byte of UTF-8 as one printable character. */
internal fun writeBytes(text: NormalizedText) {
    val characters = IntList(text.size)
    val origins = IntList(text.size)
    text.characters.forEachIndexed { index, character ->
        utf8Bytes(character) {
            characters.add(CHARACTER_OF_BYTE[it])
            origins.add(index)
        }
    }
    text.replace(characters, origins)
}
