package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.NormalizedText

/** sentencepiece's rules for control characters and white space. */
internal fun nmt(text: NormalizedText) {
    text.filter { !isRemoved(it) }
    text.spaceFor { it in SPACES }
}

private fun isRemoved(character: Int): Boolean =
    character in 0x01..0x08 || character == 0x0b || character in 0x0e..0x1f || character == 0x7f || character == 0x8f ||
        character == 0x9f

private val SPACES = setOf(
    0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd,
)
