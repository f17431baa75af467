package edgeformer.runtime.text.regex

import edgeformer.runtime.text.CharacterSet
import edgeformer.runtime.text.Unicode
import edgeformer.runtime.text.codePoints

/** A pattern holds what this runtime doesn't know; the message says what. */
internal class UnknownSyntax(message: String) : Exception(message)

/** What reads a pattern, character by character. */
internal class PatternReader(text: String) {
    private val characters = codePoints(text)
    private var position = 0

    val isOver: Boolean get() = position >= characters.size

    /** The next character, not taken; "" at the end. */
    fun peek(): String = if (isOver) "" else String(Character.toChars(characters[position]))

    fun take(): String = peek().also {
        if (it.isEmpty()) throw UnknownSyntax("it ends too early")
        position++
    }

    /** Takes [text] (ASCII) if it comes next. */
    fun takes(text: String): Boolean {
        for (index in text.indices) if (characters.getOrNull(position + index) != text[index].code) return false
        position += text.length
        return true
    }
}

private val CONTROLS = mapOf("n" to 0x0a, "r" to 0x0d, "t" to 0x09, "f" to 0x0c, "v" to 0x0b)

internal fun setOf(character: Int) = CharacterSet().apply { add(character) }

/** What follows a backslash, as a set. */
internal fun readEscape(reader: PatternReader): CharacterSet {
    val name = reader.take()
    return severalOf(name, reader) ?: setOf(oneOf(name, reader))
}

/** Classes of characters, [^a-z\s[…]] and \p{L}: what follows "[", the closing bracket included. */
internal fun readClass(reader: PatternReader, depth: Int = 0): CharacterSet {
    if (depth > 8) throw UnknownSyntax("classes nested more than 8 deep")
    val isInverted = reader.takes("^")
    val set = CharacterSet()
    if (reader.peek() == "]") throw UnknownSyntax("a class that begins with ']'")
    while (!reader.takes("]")) {
        if (reader.takes("&&") || reader.takes("[:")) throw UnknownSyntax("'&&' or '[:' in a class")
        if (reader.takes("[")) {
            set.addAll(readClass(reader, depth + 1))
            continue
        }
        val first = readItem(reader, set) ?: continue
        if (!reader.takes("-")) {
            set.add(first)
        } else if (reader.peek() == "]") {
            set.add(first)
            set.add('-'.code)
        } else {
            val last = readItem(reader, set)
            if (last == null || last < first) throw UnknownSyntax("a range of characters that has no end")
            set.addRange(first, last)
        }
    }
    return if (isInverted) set.inverted() else set
}

/** One character of a class; null where it was several, which are added to [set]. */
private fun readItem(reader: PatternReader, set: CharacterSet): Int? {
    val character = reader.take()
    if (character != "\\") return character.codePointAt(0)
    val name = reader.take()
    val several = severalOf(name, reader) ?: return oneOf(name, reader)
    set.addAll(several)
    return null
}

private fun severalOf(name: String, reader: PatternReader): CharacterSet? = when (name) {
    "s" -> Unicode.whitespace
    "S" -> Unicode.whitespace.inverted()
    "w" -> Unicode.regexWord
    "W" -> Unicode.regexWord.inverted()
    "d" -> Unicode.categorySet("Nd")
    "D" -> Unicode.categorySet("Nd")!!.inverted()
    "p", "P" -> property(reader, name == "P")
    else -> null
}

private fun property(reader: PatternReader, isInverted: Boolean): CharacterSet {
    if (!reader.takes("{")) throw UnknownSyntax("\\p without a category")
    val isOpposite = reader.takes("^") != isInverted
    var name = ""
    while (!reader.takes("}")) name += reader.take()
    val set = Unicode.categorySet(name) ?: throw UnknownSyntax("\\p{${name.take(30)}}")
    return if (isOpposite) set.inverted() else set
}

private fun oneOf(name: String, reader: PatternReader): Int = when {
    name in CONTROLS -> CONTROLS.getValue(name)
    name == "x" -> hexadecimal(reader, if (reader.takes("{")) null else 2)
    name == "u" -> hexadecimal(reader, 4)
    name[0] in 'A'..'Z' || name[0] in 'a'..'z' || name[0] in '0'..'9' -> throw UnknownSyntax("\\$name")
    else -> name.codePointAt(0)
}

/** A code point of so many digits, or of those before "}". */
private fun hexadecimal(reader: PatternReader, count: Int?): Int {
    var digits = ""
    while (if (count == null) !reader.takes("}") else digits.length < count) digits += reader.take()
    val isNumber = digits.length in 1..6 && digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }
    if (!isNumber || digits.toInt(16) > 0x10ffff) throw UnknownSyntax("\\x${digits.take(10)}")
    return digits.toInt(16)
}
