package edgeformer.runtime.text.pretokenizers

import edgeformer.runtime.text.Cutter
import edgeformer.runtime.text.Take
import edgeformer.runtime.text.regex.Pattern

/**
 * What becomes of delimiters. Of "the-final--countdown" at "-": Removed the|final|countdown, Isolated
 * the|-|final|-|-|countdown, MergedWithPrevious the-|final-|-|countdown, MergedWithNext the|-final|-|-countdown,
 * Contiguous the|-|final|--|countdown.
 */
internal val BEHAVIORS = listOf("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")

internal fun interface IsDelimiter {
    fun isDelimiter(character: Int): Boolean
}

/** Each character for which [isDelimiter] is true is one. */
internal fun atCharacters(behavior: String, isDelimiter: IsDelimiter) = Cutter { characters, from, to, take ->
    val parts = Parts(behavior, take)
    var start = from
    for (position in from until to) {
        if (!isDelimiter.isDelimiter(characters[position])) continue
        if (start < position) parts.add(start, position, false)
        parts.add(position, position + 1, true)
        start = position + 1
    }
    if (start < to) parts.add(start, to, false)
    parts.finish()
}

/** The delimiters are the matches of [pattern]; with [isInverted], what lies between. */
internal fun atMatches(pattern: Pattern, behavior: String, isInverted: Boolean) = Cutter { characters, from, to, take ->
    val parts = Parts(behavior, take)
    val matches = pattern.findAll(characters, from, to)
    var start = from
    for (index in 0 until matches.size step 2) {
        if (start < matches[index]) parts.add(start, matches[index], isInverted)
        start = matches[index + 1]
        parts.add(matches[index], start, !isInverted)
    }
    if (start < to) parts.add(start, to, isInverted)
    parts.finish()
}

/** Puts neighbouring parts together as a behavior says; one part is held back, since the next may belong to it. */
private class Parts(private val behavior: String, private val take: Take) {
    private var from = -1 // of the part held back; -1: none
    private var to = -1
    private var wasDelimiter = false

    fun add(from: Int, to: Int, isDelimiter: Boolean) {
        when (behavior) {
            "Isolated" -> take.take(from, to)
            "Removed" -> if (!isDelimiter) take.take(from, to)
            else -> {
                if (this.from == -1 || !belongs(isDelimiter)) {
                    finish()
                    this.from = from
                }
                this.to = to
                wasDelimiter = isDelimiter
            }
        }
    }

    fun finish() {
        if (from != -1) take.take(from, to)
        from = -1
    }

    private fun belongs(isDelimiter: Boolean): Boolean = when (behavior) {
        "Contiguous" -> isDelimiter == wasDelimiter
        "MergedWithPrevious" -> isDelimiter && !wasDelimiter
        else -> !isDelimiter && wasDelimiter
    }
}
