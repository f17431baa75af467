package edgeformer.runtime.test

import edgeformer.runtime.EngineError
import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.android.engines.LiteRtEngine
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.engines.OnnxRuntimeEngine
import edgeformer.runtime.selection.SelfCheckMode
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** Variants for LiteRT, by the engine for Android over the C library: Python's golden rows, to 1e-5. */
class LiteRtTest {
    private val both = Conformance.bundle("two-engines")
    private val engine = LiteRtEngine("2.3.0")

    /** Every bundle that has a variant for LiteRT. */
    private val bundles = Conformance.names.map(Conformance::bundle).filter { folder ->
        Bundle.open(folder).use { bundle -> bundle.manifest.variants.any { it.engine == engine.name } }
    }

    @TestFactory
    fun goldenRowsAndPredictions() = bundles.map { folder ->
        DynamicTest.dynamicTest(folder.name) {
            val options = SessionOptions("tflite", 1, selfCheck = SelfCheckMode.ALWAYS, engines = listOf(engine))
            val golden = Bundle.open(folder).use { readGolden(it)!! }
            val known = golden.variants.getValue("tflite")
            Session.open(folder, options).use { session ->
                assertTrue("passed" in session.selfCheck, session.selfCheck)
                assertTrue("litert 2.3.0" in session.engine, session.engine)
                golden.rows.forEachIndexed { index, row ->
                    val found = session.run(row)
                    for ((name, tensor) in known.outputs[index]) {
                        assertEquals(tensor.shape, found.getValue(name).shape)
                        assertClose(tensor.toDoubles().toList(), found.getValue(name).toDoubles().toList(), name)
                    }
                    val text = golden.texts[index] ?: return@forEachIndexed
                    val prediction = session.predict(listOf(Item.Text(text.text, text.second)), text.prompt).single()
                    known.predictions[index]?.let { assertClose(it, prediction.toJson(), "row $index") }
                }
            }
        }
    }

    @Test
    fun theFastestOfTwoEnginesIsTaken() {
        Session.open(both, SessionOptions(threads = 1, engines = listOf(OnnxRuntimeEngine(), engine))).use {
            assertTrue(it.variant.name in listOf("onnx", "tflite"))
            assertTrue(it.skipped.single().contains("slower than ${it.variant.name}"), it.skipped.toString())
        }
    }

    @Test
    fun whatIsNoModelIsAnEngineError() {
        val file = File.createTempFile("model", ".tflite").apply { writeText("no model") }
        val variant = Bundle.open(both).use { it.manifest.variant("tflite") }
        assertThrows(EngineError::class.java) { engine.load(file, variant, 1) }
        file.delete()
    }
}
