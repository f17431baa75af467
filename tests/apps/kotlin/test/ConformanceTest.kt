package edgeformer.runtime.test

import edgeformer.runtime.DType
import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.ImagePreprocess
import edgeformer.runtime.selection.SelfCheckMode
import edgeformer.runtime.tasks.Encoded
import edgeformer.runtime.tasks.TextPlaces
import edgeformer.runtime.tasks.taskOf
import kotlin.math.abs
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

private const val TOLERANCE = 1e-5
private const val SEPARATOR = 3L // of the conformance bundles' tokenizer
private const val CONTINUES = 11L // "##s", its only token that continues a word

/** What tests/conformance says that every reader gets. */
class ConformanceTest {
    @TestFactory
    fun outputsAndPredictions() = Conformance.names.map { name ->
        DynamicTest.dynamicTest(name) {
            Session.open(Conformance.bundle(name), SessionOptions(selfCheck = SelfCheckMode.ALWAYS, threads = 1)).use { session ->
                assertTrue("passed" in session.selfCheck, session.selfCheck)
                for (case in Conformance.cases(name)) check(session, case)
            }
        }
    }

    private fun check(session: Session, case: Map<String, Any?>) {
        val given = obj(case["arrays"] ?: case["inputs"])
        val feeds = session.manifest.inputs.filter { it.name in given }.associate { it.name to tensorOf(it.dtype, given[it.name]) }
        val outputs = session.run(feeds)
        val expected = obj(case["outputs"])
        assertEquals(expected.keys, outputs.keys)
        for ((key, value) in outputs) {
            assertEquals(shapeOf(expected[key]), value.shape)
            assertClose(expected[key], nested(value), key)
        }
        val prediction = case["prediction"] ?: return
        if (obj(prediction)["tokens"] == null || "labels" in case) return // pictures: below
        val task = taskOf(session.manifest.task, session.manifest.outputs)!!
        assertClose(prediction, task.predict(outputs, encoded(case, feeds, prediction)).toJson(), "prediction")
    }

    /** A text of a case as a tokenizer would have given it. */
    private fun encoded(case: Map<String, Any?>, feeds: Map<String, Tensor>, prediction: Any?): Encoded {
        val item = case["item"]
        val (first, second) = if (item is List<*>) item.map { it as String } else listOf(item as String, null)
        val ids = feeds.getValue("input_ids").toLongs()
        val offsets = case["offsets"]?.let { list(it).map(::numbers) } ?: ids.map { listOf(0.0, 0.0) }
        val inPrompt = offsets.map { it[1] == 0.0 }
        var text = 0
        val texts = ids.mapIndexed { index, id ->
            val own = text
            if (id == SEPARATOR) text++
            own.takeIf { id != SEPARATOR && !inPrompt[index] }
        }
        var word = -1
        val words = ids.mapIndexed { index, id ->
            if (texts[index] == null) null else if (id == CONTINUES) word else ++word
        }
        val told = obj(prediction)
        return Encoded(
            feeds,
            (told["tokens"] as Long).toInt(),
            told["truncated"] as Boolean,
            (told["tokens_cut"] as Long?)?.toInt(),
            TextPlaces(
                offsets.map { it[0].toInt() }.toIntArray(), offsets.map { it[1].toInt() }.toIntArray(), words, texts, first!!, second
            ),
        )
    }

    @Test
    fun picturesBecomeTheTensorsOfPython() {
        val name = "image-classification"
        Session.open(Conformance.bundle(name)).use { session ->
            for (case in Conformance.cases(name)) {
                val picture = Conformance.picture(case["item"] as String)
                val made = ImageEncoder(session.manifest.preprocess.single() as ImagePreprocess).encode(picture)
                val expected = numbers(obj(case["inputs"])["pixel_values"]).map { it.toFloat() }
                assertEquals(expected, made.getValue("pixel_values").toFloats().toList())
                assertClose(case["prediction"], session.predict(listOf(Item.Image(picture))).single().toJson(), name)
            }
        }
    }

    @Test
    fun labelsOfTheBundleNeedNoTexts() {
        val name = "zero-shot-image-classification"
        Session.open(Conformance.bundle(name)).use { session ->
            val cases = Conformance.cases(name).filter { it["labels"] == null }
            assertTrue(cases.isNotEmpty())
            for (case in cases) {
                val picture = Conformance.picture(case["item"] as String)
                assertClose(case["prediction"], session.predict(listOf(Item.Image(picture))).single().toJson(), name)
            }
        }
    }

    @Test
    fun storedPredictionsAreWhatStoredOutputsMean() {
        for (name in listOf("text-classification", "several-labels", "feature-extraction")) {
            Bundle.open(Conformance.bundle(name)).use { bundle ->
                val variant = readGolden(bundle)!!.variants.getValue("onnx")
                val task = taskOf(bundle.manifest.task, bundle.manifest.outputs)!!
                variant.predictions.zip(variant.outputs).filter { it.first != null }.also { assertTrue(it.isNotEmpty()) }
                    .forEach { (expected, outputs) ->
                        val told = expected!!
                        val encoded = Encoded(
                            emptyMap(), (told["tokens"] as Long).toInt(), told["truncated"] as Boolean, (told["tokens_cut"] as Long?)?.toInt()
                        )
                        assertClose(expected, task.predict(outputs, encoded).toJson(), name)
                    }
            }
        }
    }
}

internal fun tensorOf(dtype: DType, value: Any?): Tensor =
    Tensor.of(dtype, numbers(value).toDoubleArray(), *shapeOf(value).toIntArray())

/** A tensor as nested lists. */
internal fun nested(tensor: Tensor): Any? {
    fun level(axis: Int, start: Int): Any? {
        if (axis == tensor.shape.size) return tensor[start]
        val inner = tensor.shape.drop(axis + 1).fold(1) { a, b -> a * b }
        return List(tensor.shape[axis]) { level(axis + 1, start + it * inner) }
    }
    return level(0, 0)
}

/** Equal JSON data, numbers within 1e-5. */
internal fun assertClose(expected: Any?, found: Any?, where: String) {
    when (expected) {
        is Map<*, *> -> {
            assertEquals(expected.keys, obj(found).keys, where)
            for ((key, value) in expected) assertClose(value, obj(found)[key as String], "$where.$key")
        }
        is List<*> -> {
            assertEquals(expected.size, list(found).size, where)
            expected.forEachIndexed { index, value -> assertClose(value, list(found)[index], "$where[$index]") }
        }
        is Number -> assertTrue(found is Number && abs(expected.toDouble() - found.toDouble()) <= TOLERANCE, "$where: expected $expected, got $found")
        else -> assertEquals(expected, found, where)
    }
}
