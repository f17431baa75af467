package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.text.Tokenizer
import edgeformer.runtime.text.Truncation
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Tokens, offsets and words, as Python's package tokenizers makes them. */
class TokenizerTest {
    @Test
    fun everyKindOfTokenizer(@TempDir folder: File) {
        Python.oracle("texts", folder.path)
        val files = folder.listFiles()!!.filter { it.extension == "json" }.sorted()
        assertTrue(files.size >= 6)
        val different = files.flatMap { file ->
            val tokenizer = Tokenizer(file.readBytes())
            val expected = File(folder, "${file.nameWithoutExtension}.expected").readBytes()
            list(readJson(expected, "expected", 1 shl 26, 10_000_000)).mapNotNull { difference(tokenizer, obj(it)) }.map { "${file.name} $it" }
        }
        assertEquals(emptyList<String>(), different.take(8), "${different.size} differ")
    }

    private fun difference(tokenizer: Tokenizer, case: Map<String, Any?>): String? {
        val truncation = Truncation((case["length"] as Long).toInt(), false, case["left"] as Boolean)
        val made = tokenizer.encode(case["text"] as String, case["second"] as String?, truncation)
        val found = mapOf(
            "ids" to made.ids.map { it.toLong() },
            "types" to made.types.map { it.toLong() },
            "offsets" to made.ids.indices.map { listOf(made.starts[it].toLong(), made.ends[it].toLong()) },
            "words" to made.words.map { it?.toLong() },
            "texts" to made.texts.map { it?.toLong() },
            "cut" to (made.tokensCut > 0),
        )
        val wrong = found.filter { (key, value) -> case[key] != value }
        if (wrong.isEmpty()) return null
        return "'${case["text"]}' and '${case["second"]}': expected ${case.filterKeys { it in wrong }}, got $wrong"
    }

    @Test
    fun whatIsUnknownOrDamagedIsRefused() {
        fun refuses(text: String) = assertThrows(RuntimeBundleError::class.java, { Tokenizer(text.toByteArray()) }, text)
        val level = """{"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}"""
        val good = Tokenizer("""{"model": $level}""".toByteArray())
        assertEquals(listOf(0), good.encode("a", null, Truncation(5, false, false)).ids.toList())
        assertThrows(InputError::class.java) { good.encode("a\ud800", null, Truncation(5, false, false)) }
        refuses("{")
        refuses("{}")
        refuses("""{"model": {"type": "Later"}}""")
        refuses("""{"version": "2.0", "model": $level}""")
        refuses("""{"normalizer": {"type": "Later"}, "model": $level}""")
        refuses("""{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a*)*"}, "behavior": "Isolated", "invert": false}, "model": $level}""")
        refuses("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}""")
        refuses("""{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}""")
    }
}
