package edgeformer.runtime.test

import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.ImagePreprocess
import edgeformer.runtime.image.Picture
import edgeformer.runtime.image.readImagePreprocess
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

/** Pictures that are refused; AgainstPythonTest has those that become tensors. */
class ImageTest {
    private fun preprocess(settings: Map<String, Any?>): ImagePreprocess = readImagePreprocess(settings, "test")

    @Test
    fun whatCantBeAPictureIsRefused() {
        assertThrows(InputError::class.java) { Picture(2, 2, IntArray(3)) }
        assertThrows(InputError::class.java) { Picture(0, 0, IntArray(0)) }
        val shortest = mapOf("mode" to "shortest", "size" to listOf(4000L), "filter" to "box")
        val plain = mapOf(
            "kind" to "image", "mean" to listOf(0.5), "std" to listOf(0.5), "color" to "L", "crop" to listOf(2L, 2L)
        )
        assertThrows(InputError::class.java) {
            ImageEncoder(preprocess(plain + ("resize" to shortest))).encode(Picture(1, 5000, IntArray(5000)))
        }
        for (bad in listOf(
            plain - "crop", plain + ("std" to listOf(0.0)), plain + ("color" to "RGB"), plain + ("crop" to listOf(2L)),
            plain + ("resize" to shortest + ("size" to listOf(1L, 2L))), plain + ("layout" to "NHWC"),
        )) assertThrows(RuntimeBundleError::class.java, { preprocess(bad) }, bad.toString())
    }
}
