package edgeformer.runtime.text

import edgeformer.runtime.InputError

internal const val SPACE = 0x20

/** The code points of [text]; raises InputError where half of a surrogate pair stands alone: that is no text. */
internal fun codePoints(text: String): IntArray {
    val points = IntArray(text.codePointCount(0, text.length))
    var index = 0
    for (count in points.indices) {
        val point = text.codePointAt(index)
        if (point in 0xd800..0xdfff) {
            throw InputError(
                "text: character $count is half of a surrogate pair, which is no text: decode its source again"
            )
        }
        points[count] = point
        index += Character.charCount(point)
    }
    return points
}

/** The string of points[from … to-1]. */
internal fun textOf(points: IntArray, from: Int = 0, to: Int = points.size): String = String(points, from, to - from)

/** How many bytes [character] takes in UTF-8. */
internal fun utf8Length(character: Int): Int =
    if (character < 0x80) 1 else if (character < 0x800) 2 else if (character < 0x10000) 3 else 4

internal fun interface TakeByte {
    fun take(byte: Int)
}

/** Calls [take] with each byte of [character] in UTF-8. */
internal fun utf8Bytes(character: Int, take: TakeByte) {
    if (character < 0x80) return take.take(character)
    val length = utf8Length(character)
    take.take((0xf00 shr length and 0xff) or (character shr 6 * (length - 1)))
    for (rest in length - 2 downTo 0) take.take(0x80 or (character shr 6 * rest and 0x3f))
}

/**
 * Byte-level BPE writes each byte as one printable character: those that are printable in Latin-1 stand for themselves,
 * the others follow in order from U+0100 on.
 */
internal val CHARACTER_OF_BYTE: IntArray = IntArray(256).also { characters ->
    var next = 0x100
    for (byte in 0..255) {
        val isPrintable = byte in 0x21..0x7e || byte in 0xa1..0xac || byte >= 0xae
        characters[byte] = if (isPrintable) byte else next++
    }
}
