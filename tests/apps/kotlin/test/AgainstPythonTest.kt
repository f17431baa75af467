package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.audio.AudioEncoder
import edgeformer.runtime.audio.Sound
import edgeformer.runtime.audio.readAudioPreprocess
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.bundle.readManifest
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.Picture
import edgeformer.runtime.image.readImagePreprocess
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What tests/apps/expected.py says that the Python runtime makes of odd manifests, archives, pictures and sounds. */
class AgainstPythonTest {
    @Test
    fun manifestsAreRefusedWithTheSameCode() {
        val cases = list(expected("manifests")).map(::list)
        val different = cases.mapNotNull { (text, wanted) ->
            val found = try {
                readManifest((text as String).toByteArray(Charsets.ISO_8859_1)).skipped.map { listOf(it.part, it.name) }
            } catch (error: RuntimeBundleError) {
                error.code.text
            }
            if (found == wanted) null else "expected $wanted, got $found: ${"$text".take(2000)}"
        }
        assertTrue(cases.size > 1000)
        assertEquals(emptyList<String>(), different.take(5), "${different.size} of ${cases.size}")
    }

    @Test
    fun archivesAreOpenedOrRefused() {
        val temporary = File(System.getProperty("java.io.tmpdir"))
        for ((name, wanted) in obj(expected("archives"))) {
            val found = try {
                Bundle.open(File(folder, "archives/$name"), emptyList(), temporary).use { it.digest }
            } catch (error: RuntimeBundleError) {
                error.code.text
            }
            assertEquals(wanted, found, name)
        }
    }

    @Test
    fun picturesBecomeTheSameBits() {
        for (case in list(expected("pictures")).map(::obj)) {
            val (width, height) = (case["width"] as Long).toInt() to (case["height"] as Long).toInt()
            val pixels = list(case["pixels"]).map { (it as Long).toInt() }
            val channels = pixels.size / (width * height)
            val argb = IntArray(width * height) {
                fun channel(index: Int) = pixels[it * channels + if (channels == 1) 0 else index]
                val alpha = if (channels == 4) channel(3) else 255
                alpha shl 24 or (channel(0) shl 16) or (channel(1) shl 8) or channel(2)
            }
            val made = ImageEncoder(readImagePreprocess(case["settings"], "test")).encode(Picture(width, height, argb))
            val tensor = made.getValue("pixel_values")
            assertEquals(case["shape"], tensor.shape.map { it.toLong() })
            assertEquals(case["bits"], tensor.toFloats().map { it.toRawBits().toLong() }, case["settings"].toString())
        }
    }

    @Test
    fun soundsBecomeTheSameNumbers() {
        for (case in list(expected("sounds")).map(::obj)) {
            val samples = numbers(case["samples"]).map { it.toFloat() }.toFloatArray()
            val encoder = AudioEncoder(readAudioPreprocess(case["settings"], "test"))
            val feeds = try {
                encoder.encode(Sound(samples, (case["rate"] as Long).toInt())).feeds
            } catch (_: InputError) {
                assertNull(case["feeds"], case["settings"].toString())
                continue
            }
            val wanted = obj(case["feeds"])
            assertEquals(wanted.keys, feeds.keys)
            for ((name, tensor) in feeds) {
                val (shape, values) = list(wanted[name])
                assertEquals(shape, tensor.shape.map { it.toLong() })
                assertClose(values, tensor.toDoubles().toList(), "${case["settings"]} $name")
            }
        }
    }

    private val folder =
        File(System.getenv("EDGEFORMER_EXPECTED") ?: error("EDGEFORMER_EXPECTED: run tests/apps/kotlin/run.sh"))

    private fun expected(name: String): Any? =
        readJson(File(folder, "$name.json").readBytes(), name, 1 shl 28, 50_000_000)
}
