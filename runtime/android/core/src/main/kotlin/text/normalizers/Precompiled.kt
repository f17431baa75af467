package edgeformer.runtime.text.normalizers

import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.NormalizedText
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.Unicode
import edgeformer.runtime.text.codePoints
import edgeformer.runtime.text.utf8Bytes
import edgeformer.runtime.text.utf8Length
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.charset.CharacterCodingException
import kotlin.io.encoding.Base64

private const val LONGEST_CLUSTER = 5 // bytes; a longer one is looked up character by character

/**
 * The rules of a sentencepiece model, a double-array trie from bytes to replacements.
 *
 * The charsmap is the size of the trie in bytes, little-endian; the trie's units of 32 bits; the replacements, each
 * ended by a zero byte.
 */
internal class Precompiled(part: Part) : Normalizer {
    private val units: IntArray
    private val replacements: Map<Int, IntArray>

    init {
        val text = part.string("precompiled_charsmap")
        val bytes = try {
            Base64.decode(text)
        } catch (_: IllegalArgumentException) {
            part.wrong("precompiled_charsmap", "base64", text)
        }
        val view = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
        val size = if (bytes.size < 4) -1 else view.getInt(0)
        if (size < 4 || size > bytes.size - 4) part.wrong("precompiled_charsmap", "a trie and replacements", text)
        units = IntArray(size / 4) { view.getInt(4 + 4 * it) }
        replacements = try {
            readReplacements(bytes.copyOfRange(4 + 4 * units.size, bytes.size))
        } catch (_: CharacterCodingException) {
            part.wrong("precompiled_charsmap", "replacements in UTF-8", text)
        }
    }

    override fun normalize(text: NormalizedText) {
        val characters = IntList(text.size)
        val changes = IntList(text.size)
        var isModified = false
        fun replace(from: Int, to: Int): Boolean {
            val replacement = find(text.characters, from, to) ?: return false
            isModified = true
            write(characters, changes, replacement, to - from)
            return true
        }
        var from = 0
        while (from < text.size) {
            val to = clusterEnd(text.characters, from)
            val isShort = to - from > 1 && (from until to).sumOf { utf8Length(text.characters[it]) } <= LONGEST_CLUSTER
            if (!isShort || !replace(from, to)) {
                for (index in from until to) {
                    if (replace(index, index + 1)) continue
                    characters.add(text.characters[index])
                    changes.add(0)
                }
            }
            from = to
        }
        if (isModified) text.change(characters, changes)
    }

    /** The replacement of the shortest key that characters[from … to-1] begin with; null where there is none. */
    private fun find(characters: IntArray, from: Int, to: Int): IntArray? {
        var node = offset(units[0])
        var found: IntArray? = null
        var isOver = false
        fun step(byte: Int) {
            if (isOver) return
            node = node xor byte
            val unit = units.getOrElse(node) { 0 }
            if (byte == 0 || unit and 0x7fffff00.inv() != byte) {
                isOver = true
                return
            }
            node = node xor offset(unit)
            if (unit ushr 8 and 1 == 1) {
                found = replacements[node]
                isOver = true
            }
        }
        var index = from
        while (index < to && !isOver) utf8Bytes(characters[index++], ::step)
        return found
    }

    /** The replacements by the place of their value in the trie. */
    private fun readReplacements(bytes: ByteArray): Map<Int, IntArray> {
        val read = HashMap<Int, IntArray>() // by their place in `bytes`
        val found = HashMap<Int, IntArray>()
        units.forEachIndexed { node, unit ->
            val leaf = node xor offset(unit)
            if (unit ushr 8 and 1 == 0 || leaf !in units.indices) return@forEachIndexed
            val start = units[leaf] and 0x7fffffff
            if (start >= bytes.size) return@forEachIndexed
            found[leaf] = read.getOrPut(start) {
                var end = start
                while (end < bytes.size && bytes[end] != 0.toByte()) end++
                codePoints(Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, start, end - start)).toString())
            }
        }
        return found
    }
}

/** Where the children of a unit's node stand, relative to it. */
private fun offset(unit: Int): Int = unit ushr 10 shl (unit and 0x200 ushr 6)

/**
 * Writes [replacement] instead of [count] characters. Where it is shorter, what falls away is told to the character
 * before it, and at the very beginning to none: so `tokenizers` does, and offsets move by that.
 */
private fun write(characters: IntList, changes: IntList, replacement: IntArray, count: Int) {
    replacement.forEachIndexed { index, character ->
        characters.add(character)
        changes.add(if (index < count) 0 else 1)
    }
    val missing = count - replacement.size
    val last = changes.size - 1
    if (missing > 0 && last >= 0) changes[last] = changes[last] - missing
}

/** The end of the grapheme cluster at [from]. Right wherever clusters are short enough to be looked up as a whole. */
private fun clusterEnd(characters: IntArray, from: Int): Int {
    var to = from + 1
    while (to < characters.size && isJoined(characters[to - 1], characters[to])) to++
    return to
}

private fun isJoined(first: Int, second: Int): Boolean {
    if (first < 0x80 && second < 0x80) return first == 0x0d && second == 0x0a
    if (first in Unicode.graphemeControl || second in Unicode.graphemeControl) return false
    return second in Unicode.graphemeExtend || first in Unicode.graphemePrepend
}
