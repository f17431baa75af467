package edgeformer.runtime.text.regex

import edgeformer.runtime.text.CharacterSet

private const val LARGEST_GROUP_COUNT = 16
private const val LARGEST_COUNT = 10_000
private const val MOST_NODES = 20_000 // counted groups are written out
private const val DEEPEST = 32
private const val LONGEST = 1000 // characters; each set takes memory
private const val ENDLESS = Int.MAX_VALUE
private val FOLDED_TO_ONE = listOf("ss", "st", "ff", "fi", "fl") // full case folding makes one character of these

private sealed class Tree {
    class OneCharacter(val character: Int) : Tree()

    class OneOfSet(val set: CharacterSet) : Tree()

    class Sequence(val items: List<Tree>) : Tree()

    class Choice(val items: List<Tree>) : Tree()

    class Repeat(val item: Tree, val least: Int, val most: Int, val mode: Mode) : Tree()

    class Look(val item: Tree, val isNegative: Boolean) : Tree()

    class End(val isLast: Boolean) : Tree()
}

/**
 * The regular expressions that tokenizers use, in the syntax of Oniguruma. Raises UnknownSyntax.
 *
 * Known: literals, . and classes (nested, ranges, \p{…}, \s \d \w and their opposites), groups, alternatives,
 * look-ahead, (?i:…) of ASCII letters, $ \z, and quantifiers, those without an upper limit on one character only: so
 * matching needs no deep recursion. All else is refused, also what can match nothing: tokenizers' offsets are odd then.
 */
internal fun parseRegex(text: String): Pattern {
    if (text.length > LONGEST) throw UnknownSyntax("it is longer than $LONGEST characters")
    val tree = Parser(PatternReader(text)).parse()
    if (canBeEmpty(tree)) throw UnknownSyntax("it can match nothing")
    return Pattern(Builder().build(tree, END))
}

private class Parser(private val reader: PatternReader) {
    private var ignoresCase = false
    private var depth = 0

    fun parse(): Tree = choice().also { if (!reader.isOver) throw UnknownSyntax("a ')' too many") }

    private fun choice(): Tree {
        if (++depth > DEEPEST) throw UnknownSyntax("groups nested more than $DEEPEST deep")
        val items = mutableListOf(sequence())
        while (reader.takes("|")) items += sequence()
        depth--
        return items.singleOrNull() ?: Tree.Choice(items)
    }

    private fun sequence(): Tree {
        val items = ArrayList<Tree>()
        var letters = ""
        while (!reader.isOver && reader.peek() != "|" && reader.peek() != ")") {
            val next = reader.peek()
            letters =
                if (ignoresCase && (next[0] in 'a'..'z' || next[0] in 'A'..'Z')) letters + next.lowercase() else ""
            if (FOLDED_TO_ONE.any { letters.endsWith(it) }) throw UnknownSyntax("'$letters' without regard to case")
            items += quantified(atom())
        }
        return items.singleOrNull() ?: Tree.Sequence(items)
    }

    private fun atom(): Tree = when (val character = reader.take()) {
        "(" -> group()
        "[" -> set(readClass(reader))
        "." -> set(setOf('\n'.code).inverted())
        "$" -> Tree.End(isLast = false)
        "\\" -> if (reader.takes("z")) Tree.End(isLast = true) else set(readEscape(reader))
        "^", "*", "+", "?", "{" -> throw UnknownSyntax("'$character' at this place")
        else -> character.codePointAt(0).let { if (ignoresCase) set(setOf(it)) else Tree.OneCharacter(it) }
    }

    private fun set(set: CharacterSet): Tree = Tree.OneOfSet(if (ignoresCase) withOtherCase(set) else set)

    private fun group(): Tree {
        val before = ignoresCase
        var look: Boolean? = null // whether a look-ahead is negative
        if (reader.takes("?")) {
            if (reader.takes("=")) look = false
            else if (reader.takes("!")) look = true
            else if (reader.takes("i:")) ignoresCase = true
            else if (!reader.takes(":")) throw UnknownSyntax("a group '(?${reader.peek()}'")
        }
        val item = choice()
        if (!reader.takes(")")) throw UnknownSyntax("a ')' too few")
        ignoresCase = before
        return if (look == null) item else Tree.Look(item, look)
    }

    private fun quantified(atom: Tree): Tree {
        var tree = atom
        while (true) {
            val hasBraces = reader.peek() == "{"
            val (least, most) = counts() ?: return tree
            if (hasBraces && least == most && reader.peek() == "?") throw UnknownSyntax("a '?' behind a count")
            val mode =
                if (reader.takes("?")) Mode.LAZY
                else if (!hasBraces && reader.takes("+")) Mode.POSSESSIVE
                else Mode.GREEDY
            if (tree is Tree.Repeat) throw UnknownSyntax("a quantifier behind a quantifier")
            val isOne = tree is Tree.OneOfSet || tree is Tree.OneCharacter
            if (!isOne && (most > LARGEST_GROUP_COUNT || mode == Mode.POSSESSIVE)) {
                throw UnknownSyntax("a group repeated without limit")
            }
            if (tree is Tree.Look || tree is Tree.End) throw UnknownSyntax("a repeated look-ahead")
            tree = Tree.Repeat(tree, least, most, mode)
        }
    }

    /** At least, at most; null where no quantifier comes next. */
    private fun counts(): Pair<Int, Int>? {
        if (reader.takes("*")) return 0 to ENDLESS
        if (reader.takes("+")) return 1 to ENDLESS
        if (reader.takes("?")) return 0 to 1
        if (!reader.takes("{")) return null
        val least = count()
        val most = if (reader.takes(",")) count() else least
        if (!reader.takes("}") || (least == null && most == null) || (least ?: 0) > (most ?: ENDLESS)) {
            throw UnknownSyntax("a '{' that counts nothing")
        }
        return (least ?: 0) to (most ?: ENDLESS)
    }

    private fun count(): Int? {
        var digits = ""
        while (reader.peek().firstOrNull() in '0'..'9') digits += reader.take()
        if (digits.isEmpty()) return null
        return digits.toIntOrNull()?.takeIf { it <= LARGEST_COUNT }
            ?: throw UnknownSyntax("a count above $LARGEST_COUNT")
    }
}

private operator fun CharRange.contains(char: Char?): Boolean = char != null && char >= first && char <= last

private class Builder {
    private var nodes = 0

    /** The nodes of [tree], followed by [next]. */
    fun build(tree: Tree, next: Node): Node {
        if (++nodes > MOST_NODES) throw UnknownSyntax("too many repetitions")
        return when (tree) {
            is Tree.OneCharacter -> CharacterNode(tree.character, next)
            is Tree.OneOfSet -> OneNode(tree.set, next)
            is Tree.Sequence -> tree.items.foldRight(next) { item, following -> build(item, following) }
            is Tree.Choice -> ChoiceNode(tree.items.map { build(it, next) })
            is Tree.Look -> LookAheadNode(build(tree.item, END), tree.isNegative, next)
            is Tree.End -> EndOfTextNode(tree.isLast, next)
            is Tree.Repeat -> when (val item = tree.item) {
                is Tree.OneOfSet -> RepeatNode(item.set, tree.least, tree.most, tree.mode, next)
                is Tree.OneCharacter -> RepeatNode(setOf(item.character), tree.least, tree.most, tree.mode, next)
                else -> repeated(item, tree.least, tree.most, tree.mode, next)
            }
        }
    }

    /** (…){1,3} as (…)((…)((…)|)|). */
    private fun repeated(item: Tree, least: Int, most: Int, mode: Mode, next: Node): Node {
        if (most == 0) return next
        val more = build(item, repeated(item, maxOf(least - 1, 0), most - 1, mode, next))
        if (least > 0) return more
        return ChoiceNode(if (mode == Mode.LAZY) listOf(next, more) else listOf(more, next))
    }
}

private fun canBeEmpty(tree: Tree): Boolean = when (tree) {
    is Tree.OneCharacter, is Tree.OneOfSet -> false
    is Tree.Sequence -> tree.items.all(::canBeEmpty)
    is Tree.Choice -> tree.items.any(::canBeEmpty)
    is Tree.Repeat -> tree.least == 0 || canBeEmpty(tree.item)
    is Tree.Look, is Tree.End -> true
}

/** Beside upper and lower case, ſ is an s and the Kelvin sign a k. Changes [set]. */
private fun withOtherCase(set: CharacterSet): CharacterSet {
    val (longS, kelvin) = 0x17f to 0x212a
    for (upper in 'A'.code..'Z'.code) {
        val others =
            listOfNotNull(upper, upper + 0x20, longS.takeIf { upper == 'S'.code }, kelvin.takeIf { upper == 'K'.code })
        if (others.any { it in set }) others.forEach(set::add)
    }
    val others = CharacterSet().apply { addAll(set) }
    for (known in listOf(longS, kelvin)) if (known in others) others.toggle(known)
    if (others.hasAny(0x80)) throw UnknownSyntax("other characters than ASCII without regard to case")
    return set
}
