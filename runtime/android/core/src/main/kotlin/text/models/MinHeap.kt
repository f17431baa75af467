package edgeformer.runtime.text.models

/** A heap that gives the smallest of its integers first. */
internal class MinHeap {
    private var items = LongArray(64)
    var size = 0
        private set

    fun clear() {
        size = 0
    }

    fun push(value: Long) {
        if (size == items.size) items = items.copyOf(size * 2)
        var place = size++
        while (place > 0) {
            val parent = place - 1 shr 1
            if (items[parent] <= value) break
            items[place] = items[parent]
            place = parent
        }
        items[place] = value
    }

    /** Takes the smallest; there must be one. */
    fun pop(): Long {
        val smallest = items[0]
        val moved = items[--size]
        var place = 0
        while (true) {
            var child = 2 * place + 1
            if (child >= size) break
            if (child + 1 < size && items[child + 1] < items[child]) child++
            if (items[child] >= moved) break
            items[place] = items[child]
            place = child
        }
        items[place] = moved
        return smallest
    }
}
