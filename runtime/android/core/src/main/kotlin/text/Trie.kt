package edgeformer.runtime.text

/** A prefix tree of tokens, one code point an edge. [expected]: about how many characters all tokens have. */
internal class Trie(expected: Int) {
    private val edges = PairMap(expected)
    private val values = IntList().apply { add(-1) }

    /** The last of several values for one token counts. */
    fun add(token: IntArray, value: Int) {
        var node = ROOT
        for (character in token) {
            var child = edges[node, character]
            if (child == -1) {
                child = values.size
                values.add(-1)
                edges[node, character] = child
            }
            node = child
        }
        values[node] = value
    }

    /** The node behind [character], or -1. */
    fun child(node: Int, character: Int): Int = edges[node, character]

    /** The value of the token that ends at [node], or -1. */
    fun value(node: Int): Int = values[node]

    /** The node behind characters[from … to-1], or -1. */
    fun walk(characters: IntArray, from: Int = 0, to: Int = characters.size): Int {
        var node = ROOT
        for (position in from until to) {
            node = edges[node, characters[position]]
            if (node == -1) return -1
        }
        return node
    }

    companion object {
        const val ROOT = 0
    }
}
