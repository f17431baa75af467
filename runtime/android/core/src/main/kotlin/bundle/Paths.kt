package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import java.text.Normalizer

private const val MAX_PATH_BYTES = 1024
private const val MAX_PART_BYTES = 255
internal const val MAX_PATH_PARTS = 32

/** Windows takes these for devices, with any ending and in any case. */
private val RESERVED = setOf("con", "prn", "aux", "nul", "conin$", "conout$") +
    listOf("com", "lpt").flatMap { port -> "123456789\u00b9\u00b2\u00b3".map { "$port$it" } }

private val UNSEEN = setOf(
    Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE,
    Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR, Character.SPACE_SEPARATOR,
).map { it.toInt() }.toSet()

/** Raise RuntimeBundleError, code `path`, unless [path] is a plain relative POSIX path; [where] names what holds it. */
internal fun checkRelativePath(path: String, where: String) {
    val problem = problemOf(path) ?: return
    throw RuntimeBundleError(
        "$where: path '${path.take(200)}' $problem: expected a relative path inside the bundle with '/' between its " +
            "parts. The bundle is damaged or was made to do harm: get it again from its source",
        ErrorCode.PATH,
    )
}

private fun problemOf(path: String): String? {
    val parts = path.split('/')
    return when {
        path.isEmpty() -> "is empty"
        hidesSomething(path) -> "holds a control character, or one that can't be seen"
        path.startsWith("/") -> "is absolute"
        '\\' in path || ':' in path -> "holds a backslash or a colon, which mean drives and folders on Windows"
        ".." in parts -> "leaves the bundle"
        "" in parts || "." in parts -> "has an empty or '.' part"
        path.any { it in "<>\"|?*" } -> "holds a character that Windows doesn't allow"
        parts.any { it.endsWith(".") || it.endsWith(" ") } ->
            "has a part that ends in a dot or a space, which Windows drops"
        parts.any { folded(it.substringBefore('.').trimEnd(' ')) in RESERVED } -> "names a device of Windows"
        parts.size > MAX_PATH_PARTS -> "has more than $MAX_PATH_PARTS parts"
        path.toByteArray().size > MAX_PATH_BYTES ||
            parts.any { it.toByteArray().size > MAX_PART_BYTES } -> "is too long"
        else -> null
    }
}

private fun hidesSomething(path: String): Boolean {
    var index = 0
    while (index < path.length) {
        val point = path.codePointAt(index)
        if (point != ' '.code && Character.getType(point) in UNSEEN) return true
        index += Character.charCount(point)
    }
    return false
}

/** Raise RuntimeBundleError if two of [paths] are one file on some file system, or one is a folder of another. */
internal fun checkDistinct(paths: Collection<String>, where: String) {
    fun refuse(problem: String): Nothing = throw RuntimeBundleError("$where: $problem", ErrorCode.PATH)
    val seen = HashMap<String, String>()
    val folders = HashMap<String, String>() // as folded, to as spelled
    for (path in paths) {
        val key = folded(path)
        seen.put(key, path)?.let {
            refuse("paths '$it' and '$path' name one file on some file systems: expected each file once")
        }
        var folder = path.substringBeforeLast('/', "")
        while (folder.isNotEmpty()) {
            val known = folders.getOrPut(folded(folder)) { folder }
            if (known != folder) {
                refuse("folders '$known' and '$folder' are one on some file systems: expected one spelling")
            }
            folder = folder.substringBeforeLast('/', "")
        }
    }
    for ((key, folder) in folders) seen[key]?.let { refuse("'$it' is both a file and the folder '$folder'") }
}

/**
 * Equal for names that are one where case and Unicode form don't count. The JVM has no case folding: up and down again.
 */
private fun folded(path: String): String {
    val composed = Normalizer.normalize(path, Normalizer.Form.NFC).uppercase().lowercase()
    return Normalizer.normalize(composed, Normalizer.Form.NFC)
}
