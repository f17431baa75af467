package edgeformer.runtime.text.pretokenizers

import edgeformer.runtime.text.Take
import edgeformer.runtime.text.Unicode

private enum class Kind { WORD, SPACE, OTHER }

private fun kindOf(character: Int): Kind =
    if (character in Unicode.word) Kind.WORD else if (character in Unicode.whitespace) Kind.SPACE else Kind.OTHER

/** Runs of word characters, and runs of what is neither those nor white space: the pattern \w+|[^\w\s]+. */
internal fun cutAtKinds(characters: IntArray, from: Int, to: Int, take: Take) {
    var position = from
    while (position < to) {
        val kind = kindOf(characters[position])
        val start = position++
        while (position < to && kindOf(characters[position]) == kind) position++
        if (kind != Kind.SPACE) take.take(start, position)
    }
}
