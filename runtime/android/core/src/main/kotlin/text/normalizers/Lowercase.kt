package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Unicode

/** Each character by itself; some become several. */
internal fun lowercase(text: NormalizedText) {
    val characters = IntList(text.size)
    val origins = IntList(text.size)
    text.characters.forEachIndexed { index, character ->
        val several = if (character < 0x80) null else Unicode.lowercase[character]
        if (several == null) {
            characters.add(if (character in 0x41..0x5a) character + 0x20 else character)
            origins.add(index)
        } else {
            for (lower in several) {
                characters.add(lower)
                origins.add(index)
            }
        }
    }
    text.replace(characters, origins)
}
