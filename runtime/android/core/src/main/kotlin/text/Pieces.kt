package edgeformer.runtime.text

private const val NO_TOKEN = -1

/** Called with a part [from, to) of a buffer. */
internal fun interface Take {
    fun take(from: Int, to: Int)
}

/** What is cut out of a piece: `take` is called with each part [from, to) of the buffer, in order. */
internal fun interface Cutter {
    fun cut(characters: IntArray, from: Int, to: Int, take: Take)
}

/** Writes a character, and the place in the buffer that it comes from. */
internal fun interface Write {
    fun write(character: Int, origin: Int)
}

internal fun interface Rewrite {
    fun rewrite(from: Int, to: Int, write: Write)
}

/**
 * A text cut into pieces: what pre-tokenizers make, and models take one by one.
 *
 * All pieces lie in one buffer of characters with their places in the original (see NormalizedText). A piece that is an
 * added token has its id and isn't cut any more.
 */
internal class Pieces(val characters: IntArray, val starts: IntArray, val ends: IntArray) {
    val from = IntList()
    val to = IntList()
    private val tokens = IntList()

    val size: Int get() = from.size

    /** Adds a piece; an empty one is none. */
    fun add(from: Int, to: Int, token: Int = NO_TOKEN) {
        if (from == to) return
        this.from.add(from)
        this.to.add(to)
        tokens.add(token)
    }

    /** The id of an added token; -1 for text. */
    fun token(index: Int): Int = tokens[index]

    /** The same characters in smaller pieces. */
    fun cut(cutter: Cutter): Pieces {
        val result = Pieces(characters, starts, ends)
        val take = Take { from, to -> result.add(from, to) }
        for (index in 0 until size) {
            if (tokens[index] == NO_TOKEN) cutter.cut(characters, from[index], to[index], take)
            else result.add(from[index], to[index], tokens[index])
        }
        return result
    }

    /** Other characters: [rewrite] writes those of a piece. */
    fun rewrite(rewrite: Rewrite): Pieces {
        val builder = PiecesBuilder(characters.size)
        val write = Write { character, origin -> builder.write(character, starts[origin], ends[origin]) }
        for (index in 0 until size) {
            if (tokens[index] == NO_TOKEN) rewrite.rewrite(from[index], to[index], write)
            else for (position in from[index] until to[index]) write.write(characters[position], position)
            builder.endPiece(tokens[index])
        }
        return builder.build()
    }
}

/** Writes pieces one after the other. */
internal class PiecesBuilder(expected: Int) {
    private val characters = IntList(expected + 16)
    private val starts = IntList(expected + 16)
    private val ends = IntList(expected + 16)
    private val bounds = IntList()
    private val tokens = IntList()

    fun write(character: Int, start: Int, end: Int) {
        characters.add(character)
        starts.add(start)
        ends.add(end)
    }

    /** Appends characters [from, to) of [text]. */
    fun append(text: NormalizedText, from: Int, to: Int) {
        characters.addAll(text.characters, from, to)
        starts.addAll(text.starts, from, to)
        ends.addAll(text.ends, from, to)
    }

    /** What was written since the last one is a piece. */
    fun endPiece(token: Int) {
        bounds.add(characters.size)
        tokens.add(token)
    }

    fun build(): Pieces {
        val pieces = Pieces(characters.toArray(), starts.toArray(), ends.toArray())
        var from = 0
        for (index in 0 until bounds.size) {
            pieces.add(from, bounds[index], tokens[index])
            from = bounds[index]
        }
        return pieces
    }
}
