package edgeformer.runtime.test

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.Manifest
import edgeformer.runtime.bundle.checkRelativePath
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.bundle.readManifest
import edgeformer.runtime.report.jsonText
import java.io.File
import java.math.BigInteger
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** The strict JSON reader, and the reader of manifests. */
class ManifestTest {
    private fun refuses(text: String) {
        val error = assertThrows(
            RuntimeBundleError::class.java, { readJson(text.toByteArray(Charsets.ISO_8859_1)) }, text.take(60)
        )
        assertEquals(ErrorCode.JSON, error.code)
    }

    @Test
    fun jsonThatIsAmbiguousOrDamagedIsRefused() {
        listOf(
            "", " ", "{", "[1,]", "{\"a\":1,}", "[1 2]", "nul", "True", "NaN", "-Infinity", "1 1", "{} x", "01", "-",
            "1.", ".5", "1e", "+1", "1e999", "{\"a\":1,\"a\":2}", "{a:1}", "'a'", "\"a", "\"\\x\"", "\"\\u12\"",
            "\"\t\"",
            "\"\\ud800\"", "\"\\udc00\\ud800\"", "12345678901234567890", "\u00ff\u00fe", "\u00ef\u00bb\u00bf{}",
            "[".repeat(65) + "]".repeat(65), "[" + "1,".repeat(300_000) + "1]",
        ).forEach(::refuses)
        assertThrows(RuntimeBundleError::class.java) { readJson(ByteArray(11), maxBytes = 10) }
    }

    @Test
    fun jsonIsReadAsItStands() {
        assertEquals(
            listOf(1L, -0.5, "a\n\u00e9\ud83d\ude42", true, null),
            readJson("[1, -5e-1, \"a\\n\u00e9\\ud83d\\ude42\", true, null]".toByteArray()),
        )
        assertEquals(BigInteger("9999999999999999999"), readJson("9999999999999999999".toByteArray()))
        val nested = readJson(("[".repeat(64) + "]".repeat(64)).toByteArray())
        assertEquals(64, generateSequence(nested) { (it as List<*>).firstOrNull() }.count())
        val value = mapOf(
            "b" to listOf(1L, 2.5, null, "\u0001\"\\\ud83d\ude42"),
            "a" to emptyMap<String, Any>(),
            "c" to emptyList<Any>(),
        )
        assertEquals(value, readJson(jsonText(value).toByteArray()))
    }

    @Test
    fun paths() {
        for (good in listOf("a", "a/b.c", "é/ü", "a b/c", ".hidden")) checkRelativePath(good, "test")
        for (bad in listOf(
            "", "/a", "a//b", "a/../b", "..", "./a", "a/", "a\\b", "c:/a", "a\u0000b", "a\nb", "a ", "a./b", "CON",
            "nul.txt", "a/com1", "a?b", "a*", "a|b", "x".repeat(256), List(33) { "a" }.joinToString("/"), "a\u200bb",
        )) {
            val error = assertThrows(RuntimeBundleError::class.java, { checkRelativePath(bad, "test") }, bad)
            assertEquals(ErrorCode.PATH, error.code)
        }
    }

    private fun manifest(name: String) =
        obj(readJson(File(Conformance.bundle(name), "manifest.json").readBytes())) - "checksum"

    private fun read(value: Any?): Manifest = readManifest(jsonText(value).toByteArray())

    @Test
    fun whatIsUnknownIsSkippedWithItsReason() {
        val plain = manifest("text-classification")
        val variant = obj(list(plain["variants"])[0])
        val strange = listOf(
            variant + mapOf("name" to "later", "format" to "laterformat"),
            variant + mapOf(
                "name" to "keyed",
                "graphs" to mapOf("main" to mapOf("path" to "variants/onnx/model.onnx", "turbo" to true)),
            ),
        )
        val found = read(plain + ("variants" to list(plain["variants"]) + strange))
        assertEquals(listOf("later", "keyed"), found.skipped("variant").map { it.name })
        assertTrue("turbo" in found.skipped[1].reason)
        val smell = read(plain + ("preprocess" to list(plain["preprocess"]) + mapOf("kind" to "smell")))
        assertEquals(listOf("smell"), smell.skipped("preprocess").map { it.name })
        val task = read(plain + ("task" to obj(plain["task"]) + ("temperature" to 1)))
        assertEquals(listOf("text-classification"), task.skipped("task").map { it.name })
        val coloured = assertThrows(RuntimeBundleError::class.java) { read(plain + ("colour" to "red")) }
        assertEquals(ErrorCode.MANIFEST, coloured.code)
    }
}
