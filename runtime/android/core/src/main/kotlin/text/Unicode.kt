package edgeformer.runtime.text

private const val TABLE = "/edgeformer/unicode_table.txt"
private const val HANGUL = 0xac00
private const val LEADING = 0x1100
private const val VOWELS = 0x1161
private const val TRAILING = 0x11a7
private const val SYLLABLES = 19 * 21 * 28

/** What is known of each character: runtime/unicode_table, which is the same for every platform, as a resource. */
internal object Unicode {
    private val lines: Map<String, List<String>> =
        (Unicode::class.java.getResourceAsStream(TABLE)
            ?: error("the resource $TABLE is missing: put runtime/unicode_table into the app"))
            .bufferedReader().useLines { all ->
                all.filter { it.isNotEmpty() && !it.startsWith("#") }.map { it.split(' ') }
                    .associate { it[0] to it.drop(1) }
            }

    private val categorySets = HashMap<String, CharacterSet>()
    private val categoryNames = ArrayList<String>()
    private val categories = runs("category") { name ->
        if (name !in categoryNames) categoryNames += name
        categoryNames.indexOf(name)
    }

    val whitespace = set("whitespace")
    val word = set("word")
    val regexWord = set("regex_word")
    val numeric = set("numeric")
    val punctuation = set("punctuation")
    val bertRemoved = set("bert_removed")
    val bertChinese = set("bert_chinese")
    val nonspacingMark = set("nonspacing_mark")
    val combiningMark = set("combining_mark")
    val graphemeExtend = set("grapheme_extend")
    val graphemePrepend = set("grapheme_prepend")
    val graphemeControl = set("grapheme_control")
    val lowercase: Map<Int, IntArray> = map("lowercase")
    private val canonical = map("canonical")
    private val compatible = map("compatible")
    private val combiningClasses = runs("combining_class") { it.toInt() }
    private val pairs = PairMap(1000) // two characters → what they make

    init {
        readPairs()
    }

    private fun number(digits: String): Int = digits.toInt(36)

    private fun map(name: String): HashMap<Int, IntArray> {
        val found = HashMap<Int, IntArray>()
        var character = 0
        var target = 0
        for (item in lines.getValue(name)) {
            character += number(item.substringBefore(':'))
            val differences = item.substringAfter(':').split(',')
            found[character] = IntArray(differences.size) {
                target += number(differences[it])
                target
            }
        }
        return found
    }

    private fun runs(name: String, value: (String) -> Int): ByteArray {
        val found = ByteArray(CODE_POINTS)
        var start = 0
        for ((text, length) in lines.getValue(name).chunked(2)) {
            val end = start + number(length)
            found.fill(value(text).toByte(), start, end)
            start = end
        }
        return found
    }

    /** Sets are written as categories and the ranges that are in one of both alone. */
    private fun set(name: String): CharacterSet {
        val items = lines.getValue(name)
        val found = CharacterSet()
        if (items[0] != "-") for (category in items[0].split('+')) found.addAll(categorySet(category)!!)
        var end = 0
        for ((gap, length) in items.drop(1).chunked(2)) {
            val first = end + number(gap)
            end = first + number(length)
            for (character in first until end) found.toggle(character)
        }
        return found
    }

    /** A character that is composed decomposes into what it is composed of, so only the others are in `canonical`. */
    private fun readPairs() {
        val parts = HashMap<Int, Pair<Int, Int>>()
        var character = 0
        var first = 0
        for ((gap, step, second) in lines.getValue("compose").map(::number).chunked(3)) {
            character += gap
            first += step
            pairs[first, second] = character
            parts[character] = first to second
        }
        fun expand(part: Int): IntArray {
            val pair = parts[part] ?: return canonical[part] ?: intArrayOf(part)
            return expand(pair.first) + expand(pair.second)
        }
        for (composed in parts.keys.associateWith(::expand)) canonical[composed.key] = composed.value
    }

    /** Characters of a general category, "Lu", or of all that begin with a letter, "L"; null where there is none. */
    fun categorySet(name: String): CharacterSet? = synchronized(categorySets) {
        categorySets[name]?.let { return it }
        val wanted = BooleanArray(categoryNames.size) { categoryNames[it] == name || categoryNames[it].take(1) == name }
        if (true !in wanted) return null
        val found = CharacterSet()
        for (character in 0 until CODE_POINTS) if (wanted[categories[character].toInt()]) found.add(character)
        categorySets[name] = found
        return found
    }

    fun combiningClass(character: Int): Int = combiningClasses[character].toInt() and 0xff

    /** The full decomposition, or null where the character stays as it is. */
    fun decomposition(character: Int, isCompatible: Boolean): IntArray? {
        val syllable = character - HANGUL
        if (syllable in 0 until SYLLABLES) {
            val trailing = syllable % 28
            val parts = intArrayOf(LEADING + syllable / (21 * 28), VOWELS + syllable % (21 * 28) / 28)
            return if (trailing == 0) parts else parts + (TRAILING + trailing)
        }
        return (if (isCompatible) compatible[character] else null) ?: canonical[character]
    }

    /** The character that two make together, or -1. */
    fun compose(first: Int, second: Int): Int {
        val leading = first - LEADING
        val vowel = second - VOWELS
        if (leading in 0 until 19 && vowel in 0 until 21) return HANGUL + (leading * 21 + vowel) * 28
        val syllable = first - HANGUL
        val trailing = second - TRAILING
        if (syllable in 0 until SYLLABLES && syllable % 28 == 0 && trailing in 1 until 28) return first + trailing
        return pairs[first, second]
    }
}
