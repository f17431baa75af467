package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part

/** What every normalizer is. */
internal fun interface Normalizer {
    /** Changes [text] in place. */
    fun normalize(text: NormalizedText)
}

/** By its type in a tokenizer.json; raises RuntimeBundleError for one that this runtime doesn't know. */
internal fun readNormalizer(part: Part): Normalizer = when (val type = part.string("type")) {
    "BertNormalizer" -> BertNormalizer(part)
    "ByteLevel" -> Normalizer(::writeBytes)
    "Lowercase" -> Normalizer(::lowercase)
    "NFC" -> UnicodeForm(isCompatible = false, isComposed = true)
    "NFD" -> UnicodeForm(isCompatible = false, isComposed = false)
    "NFKC" -> UnicodeForm(isCompatible = true, isComposed = true)
    "NFKD" -> UnicodeForm(isCompatible = true, isComposed = false)
    "Nmt" -> Normalizer(::nmt)
    "Precompiled" -> Precompiled(part)
    "Prepend" -> Prepend(part)
    "Replace" -> Replace(part)
    "Sequence" -> part.parts("normalizers").map(::readNormalizer).let { all ->
        Normalizer { text -> all.forEach { it.normalize(text) } }
    }
    "Strip" -> Strip(part)
    "StripAccents" -> Normalizer(::stripAccents)
    else -> part.unsupported("normalizer '$type' isn't known")
}
