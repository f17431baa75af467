package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.ImagePreprocess
import edgeformer.runtime.image.Picture
import edgeformer.runtime.image.readImagePreprocess
import edgeformer.runtime.report.jsonText
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.random.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val PICTURES = 120

/** Pictures to tensors, bit by bit as the Python runtime makes them. */
class ImageTest {
    @Test
    fun randomPicturesAndSettings(@TempDir folder: File) {
        val random = Random(3)
        val made = (0 until PICTURES).associate { index ->
            val (height, width) = listOf(size(random), size(random))
            val settings = settings(random)
            val pixels = ByteArray(4 * height * width)
            random.nextBytes(pixels)
            if (index % 3 == 0) for (at in 3 until pixels.size step 4) pixels[at] = -1 // opaque
            val name = "%03d".format(index)
            File(folder, "$name.pixels").writeBytes(pixels)
            File(folder, "$name.json").writeText(jsonText(mapOf("height" to height, "width" to width, "preprocess" to settings)))
            val argb = IntArray(height * width) {
                fun byte(channel: Int) = pixels[4 * it + channel].toInt() and 0xff
                byte(3) shl 24 or (byte(0) shl 16) or (byte(1) shl 8) or byte(2)
            }
            name to ImageEncoder(preprocess(settings)).encode(Picture(width, height, argb)).getValue("pixel_values").toFloats()
        }
        Python.oracle("images", folder.path)
        for ((name, found) in made) {
            val bytes = ByteBuffer.wrap(File(folder, "$name.expected").readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            val expected = FloatArray(bytes.limit()).also { bytes.get(it) }
            assertEquals(expected.toList(), found.toList(), "$name: ${File(folder, "$name.json").readText()}")
        }
    }

    private fun size(random: Random) = if (random.nextInt(5) == 0) 1 + random.nextInt(3) else 1 + random.nextInt(90)

    private fun preprocess(settings: Map<String, Any?>): ImagePreprocess = readImagePreprocess(settings, "test")

    private fun settings(random: Random): Map<String, Any?> {
        val isGrey = random.nextInt(4) == 0
        val channels = if (isGrey) 1 else 3
        val isExact = random.nextBoolean()
        val sides = List(if (isExact) 2 else 1) { 1L + random.nextInt(60) }
        val resize = mapOf(
            "size" to sides, "mode" to (if (isExact) "exact" else "shortest"), "cubic_a" to listOf(-0.5, -0.75, 0.0).random(random),
            "filter" to listOf("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos").random(random),
        )
        val isResized = random.nextInt(6) > 0
        return mapOf(
            "kind" to "image", "color" to (if (isGrey) "L" else "RGB"), "alpha" to listOf("white", "drop").random(random),
            "resize" to resize.takeIf { isResized },
            "crop" to List(2) { 1L + random.nextInt(60) }.takeIf { !isExact || !isResized || random.nextBoolean() },
            "mean" to List(channels) { random.nextDouble() }, "std" to List(channels) { 0.1 + random.nextDouble() },
            "rescale" to listOf(1.0 / 255, 1.0 / 127.5, 1.0).random(random),
        )
    }

    @Test
    fun whatCantBeAPictureIsRefused() {
        assertThrows(InputError::class.java) { Picture(2, 2, IntArray(3)) }
        assertThrows(InputError::class.java) { Picture(0, 0, IntArray(0)) }
        val shortest = mapOf("mode" to "shortest", "size" to listOf(4000L), "filter" to "box")
        val plain = mapOf("kind" to "image", "mean" to listOf(0.5), "std" to listOf(0.5), "color" to "L", "crop" to listOf(2L, 2L))
        assertThrows(InputError::class.java) { ImageEncoder(preprocess(plain + ("resize" to shortest))).encode(Picture(1, 5000, IntArray(5000))) }
        for (bad in listOf(
            plain - "crop", plain + ("std" to listOf(0.0)), plain + ("color" to "RGB"), plain + ("crop" to listOf(2L)),
            plain + ("resize" to shortest + ("size" to listOf(1L, 2L))), plain + ("layout" to "NHWC"),
        )) assertThrows(RuntimeBundleError::class.java, { preprocess(bad) }, bad.toString())
    }
}
