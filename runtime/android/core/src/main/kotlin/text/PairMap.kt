package edgeformer.runtime.text

private const val EMPTY = -1

/**
 * A map from two integers ≥ 0 to one ≥ 0: a hash table with open addressing. [expected]: about how many pairs there
 * will be.
 */
internal class PairMap(expected: Int) {
    private var first: IntArray
    private var second: IntArray
    private var values: IntArray
    private var size = 0

    init {
        var capacity = 16
        while (capacity < expected.toLong() * 2) capacity *= 2
        first = IntArray(capacity) { EMPTY }
        second = IntArray(capacity)
        values = IntArray(capacity)
    }

    /** The value, or -1. */
    operator fun get(one: Int, other: Int): Int {
        val slot = slot(one, other)
        return if (first[slot] == EMPTY) -1 else values[slot]
    }

    operator fun set(one: Int, other: Int, value: Int) {
        if (size * 2 >= first.size) grow()
        val slot = slot(one, other)
        if (first[slot] == EMPTY) size++
        first[slot] = one
        second[slot] = other
        values[slot] = value
    }

    private fun slot(one: Int, other: Int): Int {
        var hash = one * -0x61c8864f xor other * -0x7a143595
        hash = hash xor (hash ushr 15)
        var slot = hash and first.size - 1
        while (first[slot] != EMPTY && (first[slot] != one || second[slot] != other)) slot = slot + 1 and first.size - 1
        return slot
    }

    private fun grow() {
        val (ones, others, old) = Triple(first, second, values)
        first = IntArray(ones.size * 2) { EMPTY }
        second = IntArray(ones.size * 2)
        values = IntArray(ones.size * 2)
        size = 0
        for (slot in ones.indices) if (ones[slot] != EMPTY) this[ones[slot], others[slot]] = old[slot]
    }
}
