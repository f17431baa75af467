package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import java.math.BigInteger
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

internal const val MAX_MANIFEST_BYTES = 8 shl 20
private const val MAX_VALUES = 300_000
private const val MAX_DIGITS = 19
private const val MAX_DEPTH = 64

/**
 * JSON data of [content] (UTF-8): Map, List, String, Boolean, null, Long (BigInteger beyond 64 bits) and Double.
 *
 * What is ambiguous, endless or huge is refused: a key twice, NaN, text behind the value, deep nesting, integers of
 * more than 19 digits. [what] names the document in messages. Raises RuntimeBundleError with code `json`.
 */
internal fun readJson(
    content: ByteArray,
    what: String = "manifest.json",
    maxBytes: Int = MAX_MANIFEST_BYTES,
    maxValues: Int = MAX_VALUES,
): Any? {
    if (content.size > maxBytes) refuseJson("$what has ${content.size} bytes: expected at most $maxBytes")
    val text = try {
        Charsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT).decode(ByteBuffer.wrap(content)).toString()
    } catch (error: CharacterCodingException) {
        refuseJson("$what is not UTF-8 ($error): the file is damaged, get the bundle again")
    }
    // Commas inside strings count too, so this is an upper bound, taken before anything is built.
    val values = text.count { it == ',' || it == '[' || it == '{' } + 1
    if (values > maxValues) refuseJson("$what holds up to $values values: expected at most $maxValues")
    return StrictJson(text, what).document()
}

private fun refuseJson(message: String): Nothing = throw RuntimeBundleError(message, ErrorCode.JSON)

private class StrictJson(private val text: String, private val what: String) {
    private var at = 0

    fun document(): Any? {
        skipSpace()
        val value = value(1)
        skipSpace()
        if (at != text.length) wrong("text behind the value")
        return value
    }

    private fun wrong(problem: String): Nothing =
        refuseJson("$what is not JSON ($problem at character $at): the file is damaged, get the bundle again")

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else wrong("the text ends")

    private fun expect(char: Char) {
        if (peek() != char) wrong("expected '$char', got '${peek()}'")
        at++
    }

    private fun value(depth: Int): Any? {
        if (depth > MAX_DEPTH) refuseJson("$what is nested too deeply: expected at most $MAX_DEPTH levels")
        return when (peek()) {
            '{' -> obj(depth)
            '[' -> list(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) wrong("a word that is none")
        at += word.length
        return value
    }

    private fun obj(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (peek() == '}') return found.also { at++ }
        while (true) {
            skipSpace()
            if (peek() != '"') wrong("expected a key")
            val key = string()
            if (key in found) wrong("key '${key.take(80)}' occurs twice in one object")
            skipSpace()
            expect(':')
            skipSpace()
            found[key] = value(depth + 1)
            skipSpace()
            if (peek() == '}') return found.also { at++ }
            expect(',')
        }
    }

    private fun list(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        at++
        skipSpace()
        if (peek() == ']') return found.also { at++ }
        while (true) {
            skipSpace()
            found += value(depth + 1)
            skipSpace()
            if (peek() == ']') return found.also { at++ }
            expect(',')
        }
    }

    private fun string(): String {
        val found = StringBuilder()
        at++
        while (true) {
            val char = peek()
            at++
            when {
                char == '"' -> break
                char == '\\' -> found.append(escaped())
                char < ' ' -> wrong("a control character in a string")
                else -> found.append(char)
            }
        }
        for (index in found.indices) {
            val pairs = when {
                found[index].isHighSurrogate() -> index + 1 < found.length && found[index + 1].isLowSurrogate()
                found[index].isLowSurrogate() -> index > 0 && found[index - 1].isHighSurrogate()
                else -> true
            }
            if (!pairs) wrong("half of a surrogate pair")
        }
        return found.toString()
    }

    private fun escaped(): Char {
        val char = peek()
        at++
        return when (char) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                val digits = text.substring(at, minOf(at + 4, text.length))
                if (digits.length < 4 || !digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) {
                    wrong("expected four hexadecimal digits")
                }
                at += 4
                digits.toInt(16).toChar()
            }
            else -> wrong("an escape that is none")
        }
    }

    private fun digits(): Int {
        val start = at
        while (at < text.length && text[at] in '0'..'9') at++
        return at - start
    }

    private fun number(): Number {
        val start = at
        if (peek() == '-') at++
        val first = peek()
        val count = digits()
        if (count == 0) wrong("expected a value")
        if (first == '0' && count > 1) wrong("a number that begins with 0")
        var isInteger = true
        if (at < text.length && text[at] == '.') {
            isInteger = false
            at++
            if (digits() == 0) wrong("expected digits")
        }
        if (at < text.length && (text[at] == 'e' || text[at] == 'E')) {
            isInteger = false
            at++
            if (at < text.length && (text[at] == '+' || text[at] == '-')) at++
            if (digits() == 0) wrong("expected digits")
        }
        val written = text.substring(start, at)
        if (isInteger) {
            if (count > MAX_DIGITS) wrong("an integer of $count digits")
            return written.toLongOrNull() ?: BigInteger(written)
        }
        val number = written.toDouble()
        if (number.isInfinite()) wrong("number ${written.take(40)} is beyond the range of a double")
        return number
    }
}
