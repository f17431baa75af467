package edgeformer.runtime.text.regex

import edgeformer.runtime.InputError
import edgeformer.runtime.text.CharacterSet
import edgeformer.runtime.text.IntList
import edgeformer.runtime.text.Part
import edgeformer.runtime.text.codePoints

private const val STEPS_A_CHARACTER = 200L
private const val FEWEST_STEPS = 1_000_000L
private const val LONGEST_LITERAL = 1000 // characters; each is a step of recursion
private const val LINE_FEED = 0x0a

/** The text that is matched, and how much work is left: patterns that would take for ever end in an error. */
internal class Subject(val characters: IntArray, val end: Int, private var steps: Long) {
    fun spend(count: Int) {
        steps -= count
        if (steps < 0) throw InputError("text: a regular expression of the tokenizer takes too long on it: shorten it")
    }
}

/** A part of a pattern, with all that follows it. */
internal fun interface Node {
    /** Where the match ends that begins at [position]; -1 where there is none. */
    fun match(subject: Subject, position: Int): Int
}

/**
 * A compiled regular expression, or a plain string: nodes that each try to match from a position on and then what
 * follows.
 */
internal class Pattern(private val root: Node) {
    /** Start and end, in turn, of the matches in characters[from … to-1], from the left, none overlapping. */
    fun findAll(characters: IntArray, from: Int, to: Int): IntList {
        val found = IntList()
        val subject = Subject(characters, to, FEWEST_STEPS + STEPS_A_CHARACTER * (to - from))
        var position = from
        while (position < to) {
            val end = root.match(subject, position)
            if (end > position) {
                found.add(position)
                found.add(end)
                position = end
            } else {
                position++
            }
        }
        return found
    }
}

/** The end of the whole pattern, or of what a look-ahead looks for. */
internal val END = Node { _, position -> position }

internal class CharacterNode(private val character: Int, private val next: Node) : Node {
    override fun match(subject: Subject, position: Int): Int =
        if (position >= subject.end || subject.characters[position] != character) -1
        else next.match(subject, position + 1)
}

/** One character of a set. */
internal class OneNode(private val set: CharacterSet, private val next: Node) : Node {
    override fun match(subject: Subject, position: Int): Int =
        if (position >= subject.end || subject.characters[position] !in set) -1 else next.match(subject, position + 1)
}

internal enum class Mode { GREEDY, LAZY, POSSESSIVE }

/** [least] to [most] characters of a set; as many as can be, or as few, or as many and no going back. */
internal class RepeatNode(
    private val set: CharacterSet,
    private val least: Int,
    private val most: Int,
    private val mode: Mode,
    private val next: Node,
) : Node {
    override fun match(subject: Subject, position: Int): Int {
        val limit = if (most > subject.end - position) subject.end else position + most
        if (mode == Mode.LAZY) return matchLazily(subject, position, limit)
        var end = position
        while (end < limit && subject.characters[end] in set) end++
        subject.spend(end - position)
        if (end < position + least) return -1
        val shortest = if (mode == Mode.POSSESSIVE) end else position + least
        while (end >= shortest) {
            val result = next.match(subject, end--)
            if (result != -1) return result
            subject.spend(1)
        }
        return -1
    }

    private fun matchLazily(subject: Subject, position: Int, limit: Int): Int {
        for (end in position..limit) {
            if (end - position >= least) {
                val result = next.match(subject, end)
                if (result != -1) return result
            }
            subject.spend(1)
            if (end == limit || subject.characters[end] !in set) return -1
        }
        return -1
    }
}

/** The first of several branches that matches. */
internal class ChoiceNode(private val branches: List<Node>) : Node {
    override fun match(subject: Subject, position: Int): Int {
        for (branch in branches) {
            val result = branch.match(subject, position)
            if (result != -1) return result
        }
        return -1
    }
}

/** (?=…) and (?!…). */
internal class LookAheadNode(private val inner: Node, private val isNegative: Boolean, private val next: Node) : Node {
    override fun match(subject: Subject, position: Int): Int =
        if ((inner.match(subject, position) != -1) == isNegative) -1 else next.match(subject, position)
}

/** $, as Ruby has it: at the end, or before a line feed. With [isLast], \z: at the end alone. */
internal class EndOfTextNode(private val isLast: Boolean, private val next: Node) : Node {
    override fun match(subject: Subject, position: Int): Int {
        val isEnd = position == subject.end || (!isLast && subject.characters[position] == LINE_FEED)
        return if (isEnd) next.match(subject, position) else -1
    }
}

/** The field `pattern` of Replace and Split: {"String": …} or {"Regex": …}. */
internal fun readPattern(part: Part): Pattern {
    val pattern = part.part("pattern")
    if (pattern.has("String")) {
        val text = pattern.string("String")
        if (text.isEmpty() || text.length > LONGEST_LITERAL) {
            pattern.unsupported("a string of ${text.length} characters as a pattern")
        }
        return Pattern(codePoints(text).foldRight(END) { character, next -> CharacterNode(character, next) })
    }
    val text = pattern.string("Regex")
    return try {
        parseRegex(text)
    } catch (error: UnknownSyntax) {
        pattern.unsupported("the regular expression '${text.take(200)}' isn't known: ${error.message}")
    }
}
