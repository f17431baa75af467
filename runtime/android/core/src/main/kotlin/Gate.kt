package edgeformer.runtime

/** Counts the calls that are inside, so that what they use is released by whoever leaves last. */
internal class Gate(private val release: () -> Unit) {
    private var inside = 0
    private var isClosed = false

    /** Run [call]; raises InputError once the gate is closed. */
    inline fun <T> enter(call: () -> T): T {
        begin()
        try {
            return call()
        } finally {
            end()
        }
    }

    fun begin() = synchronized(this) {
        if (isClosed) throw InputError("the session is closed: open another one")
        inside++
    }

    fun end() {
        val isLast = synchronized(this) { --inside == 0 && isClosed }
        if (isLast) release()
    }

    /** Let nobody in any more; twice is harmless. */
    fun close() {
        val isEmpty = synchronized(this) { !isClosed.also { isClosed = true } && inside == 0 }
        if (isEmpty) release()
    }
}
