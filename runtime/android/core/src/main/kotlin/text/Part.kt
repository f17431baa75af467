package edgeformer.runtime.text

import edgeformer.runtime.RuntimeBundleError

private const val DEEPEST = 16 // parts inside parts; real files have two or three

/** One object of a tokenizer.json, read field by field; what is wrong is a RuntimeBundleError that names the place. */
internal class Part(value: Any?, private val where: String, private val depth: Int = 0) {
    @Suppress("UNCHECKED_CAST")
    private val fields = value as? Map<String, Any?> ?: wrong("", "an object", value)

    init {
        if (depth > DEEPEST) refuseTokenizer("$where: nested more than $DEEPEST deep")
    }

    /** Whether the key is there and not null. */
    fun has(key: String): Boolean = fields[key] != null

    fun value(key: String): Any = fields[key] ?: refuseTokenizer("${place(key)} is missing")

    fun string(key: String): String = value(key).let { it as? String ?: wrong(key, "a string", it) }

    fun string(key: String, missing: String): String = if (has(key)) string(key) else missing

    /** One character, as its code point. */
    fun character(key: String): Int =
        codePoints(string(key)).let { if (it.size == 1) it[0] else wrong(key, "one character", string(key)) }

    fun boolean(key: String): Boolean = value(key).let { it as? Boolean ?: wrong(key, "true or false", it) }

    fun boolean(key: String, missing: Boolean): Boolean = if (has(key)) boolean(key) else missing

    fun integer(key: String): Int = toInteger(value(key), key)

    fun toInteger(value: Any?, key: String): Int =
        if (value is Long && value in 0..Int.MAX_VALUE) value.toInt()
        else wrong(key, "an integer from 0 to 2147483647", value)

    fun oneOf(key: String, choices: List<String>): String =
        string(key).let { if (it in choices) it else wrong(key, "one of ${choices.joinToString()}", it) }

    fun list(key: String): List<Any?> = value(key).let { it as? List<Any?> ?: wrong(key, "a list", it) }

    fun part(key: String): Part = Part(value(key), place(key), depth + 1)

    fun parts(key: String): List<Part> =
        list(key).mapIndexed { index, value -> Part(value, "${place(key)}[$index]", depth + 1) }

    /** Token → id of an object. */
    fun vocabulary(key: String): Map<String, Int> {
        val value = value(key) as? Map<*, *> ?: wrong(key, "an object of tokens and ids", value(key))
        return value.entries.associate { (token, id) -> token as String to toInteger(id, key) }
    }

    fun wrong(key: String, expected: String, value: Any?): Nothing {
        val got = if (value is List<*>) "a list" else if (value is Map<*, *>) "an object" else value.toString().take(80)
        refuseTokenizer("${if (key.isEmpty()) where else place(key)}: expected $expected, got $got")
    }

    /** Raise RuntimeBundleError for what this runtime can't do. */
    fun unsupported(what: String): Nothing =
        refuseTokenizer("$where: $what. Compile with another tokenizer, or take a newer runtime")

    private fun place(key: String) = "$where.$key"
}

internal fun refuseTokenizer(message: String): Nothing = throw RuntimeBundleError(message)
