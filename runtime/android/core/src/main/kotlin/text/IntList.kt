package edgeformer.runtime.text

/** A list of integers that grows. */
internal class IntList(capacity: Int = 16) {
    private var items = IntArray(maxOf(capacity, 1))
    var size = 0
        private set

    fun add(value: Int) {
        if (size == items.size) items = items.copyOf(size * 2)
        items[size++] = value
    }

    /** Appends values[from … to-1]. */
    fun addAll(values: IntArray, from: Int, to: Int) {
        val needed = size + to - from
        if (needed > items.size) items = items.copyOf(maxOf(needed, items.size * 2))
        values.copyInto(items, size, from, to)
        size = needed
    }

    operator fun get(index: Int): Int = items[index]

    operator fun set(index: Int, value: Int) {
        items[index] = value
    }

    fun toArray(): IntArray = items.copyOf(size)
}
