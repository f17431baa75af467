package edgeformer.runtime.test

import edgeformer.runtime.DType
import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.Tensor
import edgeformer.runtime.audio.AudioEncoder
import edgeformer.runtime.audio.AudioPreprocess
import edgeformer.runtime.audio.Sound
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.ImagePreprocess
import edgeformer.runtime.selection.SelfCheckMode
import edgeformer.runtime.tasks.Encoded
import edgeformer.runtime.tasks.taskOf
import edgeformer.runtime.text.TextEncoder
import edgeformer.runtime.text.TextPreprocess
import java.io.File
import kotlin.math.abs
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

private const val TOLERANCE = 1e-5

/** What tests/conformance says that every reader gets. */
class ConformanceTest {
    @TestFactory
    fun outputsAndPredictions() = Conformance.names.map { name ->
        DynamicTest.dynamicTest(name) {
            val options = SessionOptions(selfCheck = SelfCheckMode.ALWAYS, threads = 1)
            Session.open(Conformance.bundle(name), options).use { session ->
                assertTrue("passed" in session.selfCheck, session.selfCheck)
                for (case in Conformance.cases(name)) check(session, case + ("bundle" to name))
            }
        }
    }

    private fun check(session: Session, case: Map<String, Any?>) {
        val given = obj(case["arrays"] ?: case["inputs"])
        val feeds = session.manifest.inputs.filter { it.name in given }
            .associate { it.name to tensorOf(it.dtype, given[it.name]) }
        val outputs = session.run(feeds)
        val expected = obj(case["outputs"])
        assertEquals(expected.keys, outputs.keys)
        for ((key, value) in outputs) {
            assertEquals(shapeOf(expected[key]), value.shape)
            assertClose(expected[key], nested(value), key)
        }
        val kinds = session.manifest.preprocess.map { it.kind }
        if ("item" !in case || kinds.isEmpty()) return // arrays
        val item = itemOf(case["item"], kinds)
        val labels = case["labels"]?.let { labels -> list(labels).map { it as String } }
        val prediction = session.predict(listOf(item), case["prompt"] as String?, labels).single()
        assertClose(case["prediction"], prediction.toJson(), "prediction")
        if (item is Item.Text) checkText(session, item, case, feeds)
    }

    private fun itemOf(item: Any?, kinds: List<String>): Item = when {
        kinds == listOf("text") && item is List<*> -> Item.Text(item[0] as String, item[1] as String)
        kinds == listOf("text") -> Item.Text(item as String)
        kinds == listOf("audio") -> Item.Audio(Sound.ofWav(File(Conformance.folder, "inputs/$item").readBytes()))
        item is List<*> -> Item.ImageText(Conformance.picture(item[0] as String), item[1] as String)
        else -> Item.Image(Conformance.picture(item as String))
    }

    private fun checkText(session: Session, item: Item.Text, case: Map<String, Any?>, feeds: Map<String, Tensor>) {
        val preprocess = session.manifest.preprocess.single() as TextPreprocess
        val content = File(Conformance.bundle(case["bundle"] as String), preprocess.tokenizer).readBytes()
        val encoded = TextEncoder(content, preprocess, session.manifest.inputs)
            .encode(item.text, item.second, case["prompt"] as String?)
        assertEquals(feeds.keys, encoded.feeds.keys)
        for ((name, tensor) in encoded.feeds) assertTrue(feeds.getValue(name).contentEquals(tensor), name)
        val places = encoded.text!!
        val offsets = places.starts.indices.map { listOf(places.starts[it].toLong(), places.ends[it].toLong()) }
        case["offsets"]?.let { assertEquals(it, offsets) }
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
    fun soundsBecomeTheTensorsOfPython() {
        val name = "audio-classification"
        Session.open(Conformance.bundle(name)).use { session ->
            val encoder = AudioEncoder(session.manifest.preprocess.single() as AudioPreprocess)
            for (case in Conformance.cases(name)) {
                val sound = Sound.ofWav(File(Conformance.folder, "inputs/${case["item"]}").readBytes())
                val made = encoder.encode(sound).feeds.getValue("input_values")
                assertClose(obj(case["inputs"])["input_values"], nested(made), name)
            }
        }
    }

    @Test
    fun storedPredictionsAreWhatStoredOutputsMean() {
        for (name in listOf("text-classification", "several-labels", "feature-extraction")) {
            Bundle.open(Conformance.bundle(name)).use { bundle ->
                val variant = readGolden(bundle)!!.variants.getValue("onnx")
                val task = taskOf(bundle.manifest.task, bundle.manifest.outputs)!!
                variant.predictions.zip(variant.outputs).filter { it.first != null }
                    .also { assertTrue(it.isNotEmpty()) }
                    .forEach { (expected, outputs) ->
                        val told = expected!!
                        val encoded = Encoded(
                            emptyMap(), (told["tokens"] as Long).toInt(), told["truncated"] as Boolean,
                            (told["tokens_cut"] as Long?)?.toInt(),
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
        is Number -> assertTrue(
            found is Number && abs(expected.toDouble() - found.toDouble()) <= TOLERANCE,
            "$where: expected $expected, got $found",
        )
        else -> assertEquals(expected, found, where)
    }
}
