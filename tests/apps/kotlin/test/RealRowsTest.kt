package edgeformer.runtime.test

import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.android.engines.LiteRtEngine
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.engines.Availability
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.OnnxRuntimeEngine
import edgeformer.runtime.selection.SelfCheckMode
import edgeformer.runtime.text.TextEncoder
import edgeformer.runtime.text.TextPreprocess
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable

/** The Java API of these tests says its own version, and the engine behind it is that of the Python package. */
internal class NewerThanItsApi(private val engine: Engine) : Engine by engine {
    override fun availability(variant: VariantEntry): Availability =
        engine.availability(variant).copy(reason = null)
}

/** Real texts and a real model, as tests/apps/real_rows.py wrote them into the folder EDGEFORMER_REAL_ROWS. */
@EnabledIfEnvironmentVariable(named = "EDGEFORMER_REAL_ROWS", matches = ".+")
class RealRowsTest {
    private val folder = File(System.getenv("EDGEFORMER_REAL_ROWS").orEmpty())
    private val bundle = File(folder, "bundle")

    /** LiteRT's is the engine for Android, over the same C library as Python's. */
    @TestFactory
    fun labelsScoresAndOutputsAreThoseOfPython() = listOf(
        "onnx" to NewerThanItsApi(OnnxRuntimeEngine()),
        "tflite" to LiteRtEngine("2.3.0"),
    ).map { (variant, engine) -> DynamicTest.dynamicTest(variant) { compare(variant, engine) } }

    private fun compare(variant: String, engine: Engine) {
        val options = SessionOptions(variant, threads = 1, selfCheck = SelfCheckMode.ALWAYS, engines = listOf(engine))
        val rows = File(folder, "rows.jsonl").readLines().map { obj(readJson(it.toByteArray())) }
        assertTrue(rows.size >= 100)
        Session.open(bundle, options).use { session ->
            val preprocess = session.manifest.preprocess.single() as TextPreprocess
            val content = File(bundle, preprocess.tokenizer).readBytes()
            val encoder = TextEncoder(content, preprocess, session.manifest.inputs)
            for (row in rows) {
                val text = row["text"] as String
                val known = obj(obj(row["variants"])[variant])
                val outputs = session.run(encoder.encode(text, null, null).feeds)
                assertClose(known["outputs"], outputs.mapValues { numbers(nested(it.value)) }, text)
                val prediction = obj(session.predict(listOf(Item.Text(text))).single().toJson())
                assertEquals(known["label"], prediction["label"], text)
                assertClose(known["score"], prediction["score"], text)
            }
        }
        println("$variant: ${rows.size} rows have Python's labels, scores and outputs")
    }
}
