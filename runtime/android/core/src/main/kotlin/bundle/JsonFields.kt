package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError

/** Reads a value at a place ("manifest.json: variants[1].lengths"); raises RuntimeBundleError naming it. */
internal typealias Read<T> = (value: Any?, where: String) -> T

/** A part of a document is of a kind that this release doesn't know; it may be skipped where the rest makes sense. */
internal class UnknownPartError(where: String, val reason: String) :
    RuntimeBundleError("${top(where)}: $reason", ErrorCode.MANIFEST)

/** The keys of one JSON object, taken one by one; [finish] refuses those that nobody took. */
internal class Fields(value: Any?, private val where: String) {
    private val left = LinkedHashMap(anObject(value, where))

    fun has(key: String): Boolean = key in left

    /** The value at [key] as [read] gives it; an error where the key is missing. */
    fun <T> take(key: String, read: Read<T>): T {
        if (key !in left) {
            val place = below(where, key)
            refuse("${place.substringBefore(": ")}: key '${place.substringAfter(": ")}' is missing")
        }
        return read(left.remove(key), below(where, key))
    }

    /** The same, [missing] where the key is. */
    fun <T> take(key: String, read: Read<T>, missing: T): T = if (key in left) take(key, read) else missing

    /** Raise UnknownPartError for keys that are left. */
    fun finish() {
        if (left.isNotEmpty()) {
            throw UnknownPartError(
                where, "unknown key " + left.keys.sorted().take(5).joinToString { "'${it.take(80)}'" }
            )
        }
    }
}

internal fun below(where: String, key: String): String = if (where.endsWith(": ")) where + key else "$where.$key"

internal fun top(where: String): String = if (where.endsWith(": ")) where + "top level" else where

internal fun refuse(message: String): Nothing = throw RuntimeBundleError(message, ErrorCode.MANIFEST)

internal fun wrong(where: String, expected: String, value: Any?): Nothing {
    val got = when (value) {
        is Map<*, *> -> "an object"
        is List<*> -> "a list"
        is String -> "'$value'"
        else -> value.toString()
    }
    refuse("${top(where)}: expected $expected, got ${got.take(200)}")
}

@Suppress("UNCHECKED_CAST")
internal val anObject: Read<Map<String, Any?>> =
    { value, where -> value as? Map<String, Any?> ?: wrong(where, "an object", value) }

internal val aString: Read<String> = { value, where -> value as? String ?: wrong(where, "a string", value) }

internal val aName: Read<String> = { value, where ->
    if (value !is String || value.isEmpty() || value.any { it < ' ' }) {
        wrong(where, "a non-empty string without control characters", value)
    }
    value
}

internal val aPath: Read<String> = { value, where -> aString(value, where).also { checkRelativePath(it, where) } }

internal val aBoolean: Read<Boolean> = { value, where -> value as? Boolean ?: wrong(where, "true or false", value) }

internal val aNumber: Read<Double> =
    { value, where -> (value as? Number ?: wrong(where, "a number", value)).toDouble() }

internal val aSha256: Read<String> = { value, where ->
    if (value !is String || value.length != 64 || !value.all { it in '0'..'9' || it in 'a'..'f' }) {
        wrong(where, "64 lower-case hexadecimal digits", value)
    }
    value
}

/** An integer from [least] to [most]; one written with a point or an exponent is none. */
internal fun anInteger(least: Long, most: Long = Long.MAX_VALUE): Read<Long> = { value, where ->
    if (value !is Long || value < least) wrong(where, "an integer of at least $least", value)
    if (value > most) wrong(where, "an integer of at most $most", value)
    value
}

internal fun anInt(least: Int, most: Int): Read<Int> {
    val read = anInteger(least.toLong(), most.toLong())
    return { value, where -> read(value, where).toInt() }
}

internal fun aNumberIn(least: Double, most: Double): Read<Double> = { value, where ->
    val number = aNumber(value, where)
    if (!(number >= least && number <= most)) wrong(where, "a number from $least to $most", value)
    number
}

internal fun <T> orNull(read: Read<T>): Read<T?> = { value, where -> if (value == null) null else read(value, where) }

internal fun <T> aListOf(read: Read<T>): Read<List<T>> = { value, where ->
    (value as? List<*> ?: wrong(where, "a list", value)).mapIndexed { index, item -> read(item, "$where[$index]") }
}

internal fun <T> aMapOf(read: Read<T>): Read<Map<String, T>> = { value, where ->
    val items = anObject(value, where)
    if (items.size > 1000) wrong(where, "an object of at most 1000 values", value)
    items.entries.associate { (key, item) -> aName(key, where) to read(item, below(where, key.take(80))) }
}

internal fun oneOf(vararg choices: String): Read<String> = { value, where ->
    if (value !is String || value !in choices) wrong(where, "one of ${choices.joinToString()}", value)
    value
}
