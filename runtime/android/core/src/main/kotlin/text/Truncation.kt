package edgeformer.runtime.text

import edgeformer.runtime.InputError

/** How texts are cut: [maxLength] counts special tokens; the longer text of a pair loses tokens, or the second alone. */
internal class Truncation(val maxLength: Int, val cutsSecond: Boolean, val fromLeft: Boolean)

/**
 * How many tokens stay of texts that have [lengths], where there is [room] for so many. Raises InputError where the text
 * that is to be cut isn't long enough, or isn't there.
 */
internal fun keptLengths(lengths: List<Int>, room: Int, cutsSecond: Boolean): List<Int> {
    val total = lengths.sum()
    if (total <= room) return lengths
    if (room == 0) return lengths.map { 0 }
    if (!cutsSecond) return if (lengths.size == 2) longestFirst(lengths[0], lengths[1], room) else listOf(room)
    val second = lengths.getOrNull(1) ?: throw InputError("text: the second text is to be cut, and there is none")
    if (second <= total - room) throw InputError("text: ${total - room} tokens are too many, and the second text has $second")
    return listOf(lengths[0], second - (total - room))
}

/** The shorter text stays whole where it takes at most half of the room; else both have half, the longer one the odd token. */
private fun longestFirst(first: Int, second: Int, room: Int): List<Int> {
    var shorter = minOf(first, second)
    var longer = if (shorter > room) shorter else maxOf(shorter, room - shorter)
    if (shorter + longer > room) {
        shorter = room / 2
        longer = room - shorter
    }
    return if (first > second) listOf(longer, shorter) else listOf(shorter, longer)
}
