package edgeformer.runtime.test

import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.bundle.readManifest
import edgeformer.runtime.text.Tokenizer
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable

/** Manifests and tokenizers that tests/apps/fuzz.py mutated into the folder EDGEFORMER_FUZZ. */
@EnabledIfEnvironmentVariable(named = "EDGEFORMER_FUZZ", matches = ".+")
class FuzzTest {
    private val folder = File(System.getenv("EDGEFORMER_FUZZ").orEmpty())
    private val bases = HashMap<String, ByteArray>()

    @Test
    fun manifestsHaveTheCodesOfPython() {
        val (count, different) = differences("manifests") { text, case ->
            val found = try {
                val skipped = readManifest(text).skipped.map { listOf(it.part, it.name) }
                if (case["code"] == null && skipped == case["skipped"]) return@differences null
                "skipped $skipped"
            } catch (error: RuntimeBundleError) {
                if (case["code"] == error.code.text) return@differences null
                "$error"
            }
            "expected ${case["code"] ?: case["skipped"]}, got $found"
        }
        assertEquals(emptyList<String>(), different.take(5), "${different.size} of $count differ")
    }

    /** A reader may refuse what Python opens, and the reverse; where both open it, ids are equal. */
    @Test
    fun tokenizersAreRefusedOrGiveTheSameIds() {
        var opened = 0
        val (count, different) = differences("tokenizers") { text, case ->
            val tokenizer = try {
                Tokenizer(text)
            } catch (_: EdgeformerError) {
                return@differences null
            }
            opened++
            val expected = case["ids"] as? List<*> ?: list(case["texts"]).map { null }
            list(case["texts"]).zip(expected).firstNotNullOfOrNull { (item, wanted) ->
                val found = try {
                    tokenizer.encode(item as String).ids.map { it.toLong() }
                } catch (_: EdgeformerError) {
                    null
                }
                val isEqual = found == null || wanted == null || found == wanted
                if (isEqual) null else "'$item': expected $wanted, got $found"
            }
        }
        assertEquals(emptyList<String>(), different.take(5), "${different.size} of $count differ, $opened were opened")
        assertTrue(opened > count / 20, "$opened of $count were opened")
    }

    private fun differences(
        kind: String,
        check: (ByteArray, Map<String, Any?>) -> String?,
    ): Pair<Int, List<String>> {
        var count = 0
        val found = ArrayList<String>()
        File(folder, "$kind.jsonl").forEachLine { line ->
            val case = obj(readJson(line.toByteArray(), kind))
            val text = mutated(case)
            val problem = try {
                check(text, case)
            } catch (error: Throwable) { // what isn't one of ours: a crash in an app
                "$error at ${error.stackTrace.take(6)}"
            }
            if (problem != null) found += "line ${count + 1}: $problem: ${String(text).take(1500)}"
            count++
        }
        assertTrue(count > 0, "$folder has no $kind")
        println("$kind: ${found.size} of $count differ")
        return count to found
    }

    private fun mutated(case: Map<String, Any?>): ByteArray {
        var text = bases.getOrPut(case["base"] as String) { File("tests", case["base"] as String).readBytes() }
        for (edit in list(case["edits"])) {
            val (at, deleted, inserted) = list(edit)
            val place = (at as Long).toInt()
            text = ByteArrayOutputStream().run {
                write(text, 0, place)
                write(Base64.getDecoder().decode(inserted as String))
                write(text, place + (deleted as Long).toInt(), text.size - place - deleted.toInt())
                toByteArray()
            }
        }
        return text
    }
}
