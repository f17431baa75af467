package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Unicode

// No character below these changes.
private const val FIRST_CANONICAL = 0xc0
private const val FIRST_COMPATIBLE = 0xa0

/**
 * `tokenizers` counts changes of characters (see NormalizedText.change); these are the characters and their changes.
 */
private class Changed(capacity: Int) {
    val characters = IntList(capacity)
    val changes = IntList(capacity)

    fun add(character: Int, change: Int) {
        characters.add(character)
        changes.add(change)
    }
}

/** NFC, NFD, NFKC, NFKD. */
internal class UnicodeForm(private val isCompatible: Boolean, private val isComposed: Boolean) : Normalizer {
    override fun normalize(text: NormalizedText) {
        val first = if (isCompatible) FIRST_COMPATIBLE else FIRST_CANONICAL
        if (text.characters.all { it < first }) return
        val decomposed = decomposed(text)
        val changed = if (isComposed) composed(decomposed) else decomposed
        text.change(changed.characters, changed.changes)
    }

    private fun decomposed(text: NormalizedText): Changed {
        val found = Changed(text.size + 16)
        var sortFrom = -1 // where a run of characters with a combining class begins
        fun push(character: Int, change: Int) {
            val isStarter = character < 0x300 || Unicode.combiningClass(character) == 0
            if (isStarter && sortFrom != -1) {
                sortMarks(found, sortFrom)
                sortFrom = -1
            } else if (!isStarter && sortFrom == -1) {
                sortFrom = found.characters.size
            }
            found.add(character, change)
        }
        for (character in text.characters) {
            val parts = if (character < FIRST_COMPATIBLE) null else Unicode.decomposition(character, isCompatible)
            if (parts == null) push(character, 0)
            else parts.forEachIndexed { position, part -> push(part, if (position == 0) 0 else 1) }
        }
        if (sortFrom != -1) sortMarks(found, sortFrom)
        return found
    }

    /** Puts the marks from [from] to the end in the order of their classes, equal ones as they were. */
    private fun sortMarks(text: Changed, from: Int) {
        val marks = (from until text.characters.size).map { text.characters[it] to text.changes[it] }
        marks.sortedBy { Unicode.combiningClass(it.first) }.forEachIndexed { position, (character, change) ->
            text.characters[from + position] = character
            text.changes[from + position] = change
        }
    }

    /**
     * Composes in the order in which `tokenizers` hands characters out: a starter before the marks that stay apart from
     * it.
     */
    private fun composed(decomposed: Changed): Changed {
        val found = Changed(decomposed.characters.size)
        var starter = -1 // where the last starter stands
        var lastClass = -1 // the class of the last mark behind it that stayed; -1: none
        for (index in 0 until decomposed.characters.size) {
            val character = decomposed.characters[index]
            val change = decomposed.changes[index]
            val order = Unicode.combiningClass(character)
            val isBlocked = starter == -1 || (lastClass != -1 && lastClass >= order)
            val composed = if (isBlocked) -1 else Unicode.compose(found.characters[starter], character)
            if (composed != -1) {
                found.characters[starter] = composed
                found.changes[starter] = found.changes[starter] + change - 1
                continue
            }
            if (order == 0) {
                starter = found.characters.size
                lastClass = -1
            } else if (starter != -1) {
                lastClass = order
            }
            found.add(character, change)
        }
        return found
    }
}
