package edgeformer.runtime.text.models

import edgeformer.runtime.InputError
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.WordCache
import edgeformer.runtime.text.textOf
import edgeformer.runtime.text.utf8Bytes
import edgeformer.runtime.text.utf8Length

private const val MOST_SYMBOLS = 1 shl 26 // so that rank and place fit one number

/** The symbols of a word: lengths are bytes in UTF-8, 0 where one is merged into another. */
private class Symbols(capacity: Int) {
    val ids = IntArray(capacity)
    val bytes = IntArray(capacity)
    var count = 0

    fun push(id: Int, bytes: Int) {
        ids[count] = id
        this.bytes[count++] = bytes
    }
}

/**
 * A word begins as its characters; of the pairs of neighbours that may merge the one of the lowest rank does, from the
 * left, until none may. A heap and a linked list make that n·log n.
 */
internal class Bpe(part: Part) : VocabularyModel(part) {
    private val prefix = part.string("continuing_subword_prefix", "") // of what begins no word
    private val suffix = part.string("end_of_word_suffix", "") // of what ends a word
    private val unknown = if (part.has("unk_token")) part.string("unk_token") else null
    private val fuseUnknown = part.boolean("fuse_unk", false)
    private val byteFallback = part.boolean("byte_fallback", false)
    private val ignoreMerges = part.boolean("ignore_merges", false)
    private val merges: Merges
    private val idOfCharacter = HashMap<Int, Int>() // of tokens of one character
    private val idOfByte = List(256) { vocabulary[byteToken(it)] }
    private val heap = MinHeap()
    private val cache = WordCache<Symbols>()

    init {
        if (part.has("dropout") && (part.value("dropout") as? Number)?.toDouble() != 0.0) {
            part.unsupported("dropout makes tokens random")
        }
        if (byteFallback && (prefix + suffix).isNotEmpty()) {
            part.unsupported("byte_fallback together with continuing_subword_prefix or end_of_word_suffix")
        }
        merges = readMerges(part, vocabulary, prefix)
        for ((token, id) in vocabulary) {
            if (token.isNotEmpty() && token.codePointCount(0, token.length) == 1) {
                idOfCharacter[token.codePointAt(0)] = id
            }
        }
    }

    override fun tokenize(characters: IntArray, from: Int, to: Int, add: AddToken) {
        val symbols = cache.get(characters, from, to) { split(characters, from, to) }
        // Symbols count in bytes, since a byte can be one; a token's characters are those that its bytes lie in.
        var start = from
        var startByte = 0 // of the character at `start`
        var byte = 0
        for (index in 0 until symbols.count) {
            while (start < to - 1 && startByte + utf8Length(characters[start]) <= byte) {
                startByte += utf8Length(characters[start++])
            }
            byte += symbols.bytes[index]
            var end = start
            var endByte = startByte
            while (end < to && endByte < byte) endByte += utf8Length(characters[end++])
            add.add(symbols.ids[index], start, end)
            if (endByte == byte && end < to) {
                start = end
                startByte = endByte
            }
        }
    }

    private fun split(characters: IntArray, from: Int, to: Int): Symbols {
        if (ignoreMerges) {
            val id = vocabulary[textOf(characters, from, to)]
            if (id != null) return Symbols(1).apply { push(id, (from until to).sumOf { utf8Length(characters[it]) }) }
        }
        val symbols = symbols(characters, from, to)
        if (symbols.count >= MOST_SYMBOLS) throw InputError("text: a word of more than $MOST_SYMBOLS bytes")
        merge(symbols)
        return symbols
    }

    /** The symbols that a word begins as. */
    private fun symbols(characters: IntArray, from: Int, to: Int): Symbols {
        val symbols = Symbols(if (byteFallback) 4 * (to - from) else to - from)
        var unknownBytes = 0 // of the unknown characters just before, not pushed yet
        fun pushUnknown() {
            if (unknownBytes > 0) symbols.push(unknownId(), unknownBytes)
            unknownBytes = 0
        }
        for (position in from until to) {
            val character = characters[position]
            val id = characterId(character, position == from, position == to - 1)
            if (id != null) {
                pushUnknown()
                symbols.push(id, utf8Length(character))
            } else if (byteFallback && hasBytes(character)) {
                // As in `tokenizers`, unknown characters that wait come behind these bytes.
                utf8Bytes(character) { symbols.push(idOfByte[it]!!, 1) }
            } else if (unknown != null) {
                if (!fuseUnknown) pushUnknown()
                unknownBytes += utf8Length(character)
                unknownId()
            }
        }
        pushUnknown()
        return symbols
    }

    private fun characterId(character: Int, isFirst: Boolean, isLast: Boolean): Int? {
        val before = if (isFirst) "" else prefix
        val behind = if (isLast) suffix else ""
        if (before.isEmpty() && behind.isEmpty()) return idOfCharacter[character]
        return vocabulary[before + String(Character.toChars(character)) + behind]
    }

    private fun hasBytes(character: Int): Boolean {
        var hasAll = true
        utf8Bytes(character) { if (idOfByte[it] == null) hasAll = false }
        return hasAll
    }

    private fun unknownId(): Int = vocabulary[unknown!!] ?: refuseUnknown(unknown)

    private fun merge(symbols: Symbols) {
        val (ids, bytes) = symbols.ids to symbols.bytes
        val count = symbols.count
        val previous = IntArray(count) { it - 1 }
        val next = IntArray(count) { if (it + 1 < count) it + 1 else -1 }
        heap.clear()
        fun offer(place: Int, right: Int) {
            val rank = merges.ranks[ids[place], ids[right]]
            if (rank != -1) heap.push(rank.toLong() * MOST_SYMBOLS + place)
        }
        for (place in 0 until count - 1) offer(place, place + 1)
        while (heap.size > 0) {
            val top = heap.pop()
            val rank = (top / MOST_SYMBOLS).toInt()
            val place = (top % MOST_SYMBOLS).toInt()
            val right = next[place]
            if (bytes[place] == 0 || right == -1) continue
            // An entry of the heap may be out of date: others merged meanwhile.
            val nowRank = merges.ranks[ids[place], ids[right]]
            val merged = merges.results[rank]
            if (nowRank == -1 || merges.results[nowRank] != merged) continue
            ids[place] = merged
            bytes[place] += bytes[right]
            bytes[right] = 0
            next[place] = next[right]
            if (next[right] != -1) previous[next[right]] = place
            if (previous[place] != -1) offer(previous[place], place)
            if (next[place] != -1) offer(place, next[place])
        }
        symbols.count = 0
        for (place in 0 until count) if (bytes[place] != 0) symbols.push(ids[place], bytes[place])
    }
}
