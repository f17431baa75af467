package edgeformer.runtime.text

/**
 * A text on its way through the normalizers: its characters now, and the place in the original that each came from.
 *
 * Places are code points, [starts[i], ends[i]) of the whole original text, also where this is a part of it.
 */
internal class NormalizedText(var characters: IntArray, var starts: IntArray, var ends: IntArray) {
    val size: Int get() = characters.size

    /** Replaces everything: character i now comes from the old character origins[i]. */
    fun replace(characters: IntList, origins: IntList) {
        val (oldStarts, oldEnds) = starts to ends
        starts = IntArray(characters.size) { oldStarts[origins[it]] }
        ends = IntArray(characters.size) { oldEnds[origins[it]] }
        this.characters = characters.toArray()
    }

    /** Keeps the characters for which [keep] is true. */
    inline fun filter(keep: (Int) -> Boolean) {
        val kept = IntList(size)
        for (index in 0 until size) if (keep(characters[index])) kept.add(index)
        if (kept.size < size) select(kept.toArray())
    }

    fun select(places: IntArray) {
        val (oldCharacters, oldStarts, oldEnds) = Triple(characters, starts, ends)
        characters = IntArray(places.size) { oldCharacters[places[it]] }
        starts = IntArray(places.size) { oldStarts[places[it]] }
        ends = IntArray(places.size) { oldEnds[places[it]] }
    }

    /** Writes a space for each character for which [isSpace] is true. */
    inline fun spaceFor(isSpace: (Int) -> Boolean) {
        for (index in 0 until size) if (isSpace(characters[index])) characters[index] = SPACE
    }

    /** Keeps the characters from [from] to [to] - 1. */
    fun cut(from: Int, to: Int) {
        characters = characters.copyOfRange(from, to)
        starts = starts.copyOfRange(from, to)
        ends = ends.copyOfRange(from, to)
    }

    /**
     * Replaces everything, the origins told by changes as `tokenizers` counts them: 1, a further character of the one
     * before; 0, it stands for the next old one; -n, for the next old one, and n more that fall away.
     */
    fun change(characters: IntList, changes: IntList) {
        val last = size - 1
        var next = 0
        val origins = IntList(characters.size)
        for (index in 0 until characters.size) {
            val change = changes[index]
            origins.add(if (change > 0) maxOf(next - 1, 0) else minOf(next, last))
            if (change <= 0) next += 1 - change
        }
        replace(characters, origins)
    }

    companion object {
        /** characters[from … to-1], unchanged, from place [from] of the original on. */
        fun of(characters: IntArray, from: Int = 0, to: Int = characters.size) =
            NormalizedText(
                characters.copyOfRange(from, to),
                IntArray(to - from) { from + it },
                IntArray(to - from) { from + it + 1 },
            )
    }
}
