package edgeformer.runtime.test

import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.report.jsonText
import edgeformer.runtime.text.Cut
import edgeformer.runtime.text.Tokenizer
import edgeformer.runtime.text.Truncation
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable

private val CUTS = mapOf("longest_first" to Cut.LONGEST, "only_first" to Cut.FIRST, "only_second" to Cut.SECOND)

/** Tokens, offsets and words, as Python's package tokenizers makes them. */
class TokenizerTest {
    @TestFactory
    fun asPythons() = File("tests/tokenizers/vectors").listFiles()!!.sorted().map { file ->
        DynamicTest.dynamicTest(file.nameWithoutExtension) {
            val vectors = obj(readJson(file.readBytes(), file.name, 1 shl 26, 10_000_000))
            val tokenizer = Tokenizer(jsonText(vectors["tokenizer"]).toByteArray())
            val texts = list(vectors["texts"]).map { it as String }
            val cases = list(vectors["cases"]).map(::obj)
            assertTrue(cases.size > 50)
            assertEquals(emptyList<String>(), cases.mapNotNull { difference(tokenizer, texts, it) })
        }
    }

    /** Every text and tokenizer that `python tests/tokenizers/make_large.py` wrote into EDGEFORMER_TOKENIZERS. */
    @Test
    @EnabledIfEnvironmentVariable(named = "EDGEFORMER_TOKENIZERS", matches = ".+")
    fun manyTexts() {
        val folder = File(System.getenv("EDGEFORMER_TOKENIZERS"))
        fun json(name: String) = readJson(File(folder, name).readBytes(), name, 1 shl 28, 10_000_000)
        val texts = list(json("texts.json")).map { it as String }
        val names = obj(json("origins.json")).keys.filter { File(folder, "$it.jsonl").exists() }
        assertTrue(names.size >= 8, "$folder has answers for $names, expected 8 tokenizers at least")
        for (name in names) {
            val tokenizer = Tokenizer(File(folder, "$name.json").readBytes())
            var count = 0
            val different = ArrayList<String>()
            File(folder, "$name.jsonl").forEachLine { line ->
                val case = obj(readJson(line.toByteArray(), name, 1 shl 26, 10_000_000))
                difference(tokenizer, texts, case)?.let(different::add)
                count++
            }
            println("$name: ${different.size} of $count cases of ${texts.size} texts differ")
            assertTrue(different.isEmpty() && count >= texts.size, "$name: ${different.take(5)}")
        }
    }

    private fun difference(tokenizer: Tokenizer, texts: List<String>, case: Map<String, Any?>): String? {
        val cut = CUTS.getValue(case["strategy"] as String)
        val truncation = (case["max_length"] as Long?)?.let { Truncation(it.toInt(), cut, case["direction"] == "left") }
        val text = texts[(case["text"] as Long).toInt()]
        val made = try {
            tokenizer.encode(text, (case["second"] as Long?)?.let { texts[it.toInt()] }, truncation)
        } catch (error: EdgeformerError) {
            return if ("error" in case) null else "'$text': $case: $error"
        }
        if ("error" in case) return "'$text': expected the error ${case["error"]}"
        val found = mapOf(
            "ids" to made.ids.map { it.toLong() },
            "types" to made.types.map { it.toLong() },
            "offsets" to made.ids.indices.flatMap { listOf(made.starts[it].toLong(), made.ends[it].toLong()) },
            "words" to made.words.map { it?.toLong() },
            "sequences" to made.texts.map { it?.toLong() },
            "truncated" to (made.tokensCut > 0),
        )
        val wrong = found.filter { (key, value) -> case[key] != value }
        if (wrong.isEmpty()) return null
        return "'$text': expected ${case.filterKeys { it !in found || it in wrong }}, got $wrong"
    }

    @Test
    fun whatIsUnknownOrDamagedIsRefused() {
        fun refuses(text: String) =
            assertThrows(RuntimeBundleError::class.java, { Tokenizer(text.toByteArray()) }, text)
        val level = """{"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}"""
        val good = Tokenizer("""{"model": $level}""".toByteArray())
        assertEquals(listOf(0), good.encode("a").ids.toList())
        for ((text, place) in listOf("a\ud800b" to 1, "👍\udc00" to 1, "\ud83d" to 0)) {
            val error = assertThrows(InputError::class.java) { good.encode(text) }
            assertTrue("character $place is half of a surrogate pair" in error.message!!, error.message)
        }
        refuses("{")
        refuses("{}")
        refuses("""{"model": {"type": "Later"}}""")
        refuses("""{"version": "2.0", "model": $level}""")
        refuses("""{"normalizer": {"type": "Later"}, "model": $level}""")
        val endless = """{"type": "Split", "pattern": {"Regex": "(a*)*"}, "behavior": "Isolated", "invert": false}"""
        refuses("""{"pre_tokenizer": $endless, "model": $level}""")
        refuses("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}""")
        refuses("""{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}""")
        refuses("""{"post_processor": {"type": "ByteLevel", "cls": ["a", 0], "sep": ["a", 0]}, "model": $level}""")
    }
}
