package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Unicode

/** Combining marks go; it is used behind NFD or NFKD. */
internal fun stripAccents(text: NormalizedText) = text.filter { it !in Unicode.combiningMark }
