package edgeformer.runtime.text

internal const val CODE_POINTS = 0x110000

/** A set of Unicode code points as a bit map: 136 kB, one look-up a test. */
internal class CharacterSet {
    private val bits = IntArray(CODE_POINTS / 32)

    operator fun contains(character: Int): Boolean = bits[character shr 5] and (1 shl character) != 0

    /** Whether it has one of the code points from [first] on, a multiple of 32. */
    fun hasAny(first: Int): Boolean = (first / 32 until bits.size).any { bits[it] != 0 }

    fun add(character: Int) {
        bits[character shr 5] = bits[character shr 5] or (1 shl character)
    }

    /** Adds it, or takes it away. */
    fun toggle(character: Int) {
        bits[character shr 5] = bits[character shr 5] xor (1 shl character)
    }

    fun addRange(first: Int, last: Int) {
        for (character in first..last) add(character)
    }

    fun addAll(other: CharacterSet) {
        for (index in bits.indices) bits[index] = bits[index] or other.bits[index]
    }

    /** The set of all others. */
    fun inverted(): CharacterSet =
        CharacterSet().also { for (index in bits.indices) it.bits[index] = bits[index].inv() }
}
