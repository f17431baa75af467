package edgeformer.runtime.text

import edgeformer.runtime.InputError

/** Which text of a pair loses tokens. */
internal enum class Cut { LONGEST, FIRST, SECOND }

/** How texts are cut: [maxLength] counts special tokens; [fromLeft]: a text loses its first tokens. */
internal class Truncation(val maxLength: Int, val cut: Cut = Cut.LONGEST, val fromLeft: Boolean = false)

/**
 * How many tokens stay of texts that have [lengths], where there is [room] for so many. Raises InputError where the
 * text that is to be cut isn't long enough, or isn't there.
 */
internal fun keptLengths(lengths: List<Int>, room: Int, cut: Cut): List<Int> {
    val total = lengths.sum()
    if (total <= room) return lengths
    if (room == 0) return lengths.map { 0 }
    if (cut == Cut.LONGEST) return if (lengths.size == 2) longestFirst(lengths[0], lengths[1], room) else listOf(room)
    val (place, name) = if (cut == Cut.FIRST) 0 to "first" else 1 to "second"
    val own = lengths.getOrNull(place) ?: throw InputError("text: the second text is to be cut, and there is none")
    val excess = total - room
    if (own <= excess) throw InputError("text: $excess tokens are too many, and the $name text has $own")
    return lengths.mapIndexed { index, length -> if (index == place) length - excess else length }
}

/**
 * The shorter text stays whole where it takes at most half of the room; else both have half, the longer one the odd
 * token.
 */
private fun longestFirst(first: Int, second: Int, room: Int): List<Int> {
    var shorter = minOf(first, second)
    var longer = if (shorter > room) shorter else maxOf(shorter, room - shorter)
    if (shorter + longer > room) {
        shorter = room / 2
        longer = room - shorter
    }
    return if (first > second) listOf(longer, shorter) else listOf(shorter, longer)
}
