package edgeformer.runtime.report

/** JSON text of maps (keys sorted), lists, strings, booleans, null and finite numbers. */
internal fun jsonText(value: Any?): String = StringBuilder().also { write(it, value, "\n") }.append('\n').toString()

private fun write(out: StringBuilder, value: Any?, line: String) {
    when (value) {
        null, is Boolean, is Int, is Long -> out.append(value)
        is Double -> out.append(
            if (value.isFinite()) value else throw IllegalArgumentException("$value is no number of JSON")
        )
        is String -> writeString(out, value)
        is List<*> -> writeAll(out, "[]", value, line) { write(out, it, "$line ") }
        is Map<*, *> -> writeAll(out, "{}", value.entries.sortedBy { it.key as String }, line) { (key, item) ->
            writeString(out, key as String)
            out.append(": ")
            write(out, item, "$line ")
        }
        else -> throw IllegalArgumentException("${value.javaClass} is not JSON data")
    }
}

private fun <T> writeAll(out: StringBuilder, brackets: String, items: Collection<T>, line: String, write: (T) -> Unit) {
    out.append(brackets[0])
    items.forEachIndexed { index, item ->
        if (index > 0) out.append(',')
        out.append(line).append(' ')
        write(item)
    }
    if (items.isNotEmpty()) out.append(line)
    out.append(brackets[1])
}

private fun writeString(out: StringBuilder, text: String) {
    out.append('"')
    for (char in text) {
        when {
            char == '"' || char == '\\' -> out.append('\\').append(char)
            char < ' ' || char == '\u007f' || char.isSurrogate() ->
                out.append("\\u").append(char.code.toString(16).padStart(4, '0'))
            else -> out.append(char)
        }
    }
    out.append('"')
}
