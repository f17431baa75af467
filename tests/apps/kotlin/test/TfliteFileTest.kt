package edgeformer.runtime.test

import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.android.engines.tfliteSignatures
import java.io.File
import kotlin.random.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What a .tflite file says of its signatures: those of a bundle's own, against its manifest. */
class TfliteFileTest {
    private val model = File("tests/conformance/bundles/two-engines/variants/tflite/model.tflite")

    @Test
    fun signaturesAreThoseOfTheVariant() {
        val signatures = tfliteSignatures(model)
        assertEquals(listOf("seq8", "seq16"), signatures.map { it.key })
        assertEquals(listOf(listOf(1, 8), listOf(1, 16)), signatures.map { it.inputs.first().shape })
        val first = signatures.first()
        assertEquals(listOf("attention_mask", "input_ids"), first.inputs.map { it.name }.sorted())
        assertEquals(listOf("logits"), first.outputs.map { it.name })
        assertEquals(DType.FLOAT32, first.outputs.single().dtype)
        val shapes = first.inputs.associate { it.name to it.shape }
        assertTrue(first.takes(shapes + ("unused" to listOf(1))))
        assertFalse(first.takes(shapes.mapValues { it.value.dropLast(1) + 7 }))
        assertFalse(first.takes(shapes - "input_ids"))
    }

    @Test
    fun damagedFilesAreRefused(@TempDir folder: File) {
        val content = model.readBytes()
        val random = Random(5)
        val file = File(folder, "model.tflite")
        fun refusedOrRead(bytes: ByteArray) = try {
            file.writeBytes(bytes)
            tfliteSignatures(file)
            "read"
        } catch (error: EngineError) {
            "refused"
        }
        file.writeText("no model")
        assertThrows(EngineError::class.java) { tfliteSignatures(file) }
        assertEquals("refused", refusedOrRead(ByteArray(0)))
        assertEquals("refused", refusedOrRead(content.copyOf(100)))
        val found = List(500) {
            val bytes = content.copyOf()
            repeat(8) { bytes[random.nextInt(minOf(4096, bytes.size))] = random.nextInt().toByte() }
            refusedOrRead(bytes)
        }
        assertTrue("refused" in found)
    }
}
