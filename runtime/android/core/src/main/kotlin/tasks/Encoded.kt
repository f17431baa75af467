package edgeformer.runtime.tasks

import edgeformer.runtime.InputError
import edgeformer.runtime.Tensor

/**
 * One row, ready to run: [feeds] are {input name: array [1, …]}.
 *
 * [tokens]: of a text, special ones included; null for what isn't text. [truncated]: a part of the row was left out;
 * [tokensCut] counts those of a text, null where that isn't known. [text]: where its tokens come from.
 * [notes]: what was done to a sound before, a sentence each.
 */
class Encoded(
    val feeds: Map<String, Tensor>,
    val tokens: Int? = null,
    val truncated: Boolean = false,
    val tokensCut: Int? = null,
    val text: TextPlaces? = null,
    val notes: List<String> = emptyList(),
) {
    internal fun places(): TextPlaces = text ?: throw InputError("this task needs a text: its results are places in it")
}

/**
 * Where each token comes from: [starts] and [ends] are Unicode code points of the text, [words] numbers the words,
 * [texts] says which text (0 or 1). Special tokens have 0, 0, null and null. [first] and [second]: the texts.
 */
class TextPlaces(
    val starts: IntArray,
    val ends: IntArray,
    val words: List<Int?>,
    val texts: List<Int?>,
    val first: String,
    val second: String?,
)

/** The part of [text] between two places in code points. */
internal fun between(text: String, start: Int, end: Int): String {
    val from = text.offsetByCodePoints(0, start)
    return text.substring(from, text.offsetByCodePoints(from, end - start))
}
