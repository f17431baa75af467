package edgeformer.runtime.test

import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.audio.Sound
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.Executors
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val NAME = "text-classification"

/** What users and broken phones do to a session: a typed error, or a result that is defined. */
class HostileTest {
    @TempDir
    lateinit var folder: File

    private fun <T> open(use: (Session) -> T): T =
        Session.open(Conformance.bundle(NAME), SessionOptions(threads = 1)).use(use)

    @Test
    fun tenMegabytesOfTextAreCut() = open { session ->
        val short = session.predict(listOf(Item.Text("good ".repeat(100)))).single()
        val prediction = session.predict(listOf(Item.Text("good ".repeat(2 shl 20)))).single()
        assertTrue(prediction.truncated)
        assertEquals(short.tokens, prediction.tokens)
        assertEquals(short.toJson()["label"], prediction.toJson()["label"])
    }

    @Test
    fun halfASurrogatePairIsNoText() = open { session ->
        for (text in listOf("\ud800", "a\udc00b", "\ud83d\ud83d\ude42")) {
            val error = assertThrows(InputError::class.java) { session.predict(listOf(Item.Text(text))) }
            assertTrue("half of a surrogate pair" in error.message!!, error.message)
        }
        assertEquals(1, session.predict(listOf(Item.Text("a\ud83d\ude42\u0000\u202e"))).size)
    }

    @Test
    fun aClosedSessionRefusesEverything() {
        val session = open { it.apply { predict(listOf(Item.Text("good"))) } }
        session.close()
        for (call in listOf<(Session) -> Unit>(
            { it.predict(listOf(Item.Text("good"))) }, { it.embed(listOf(Item.Text("good")), "text") },
            { it.run(emptyMap()) }, { it.benchmark() },
        )) {
            val error = assertThrows(InputError::class.java) { call(session) }
            assertTrue("the session is closed" in error.message!!, error.message)
        }
    }

    @Test
    fun twoThreadsPredictWithOneSession() = open { session ->
        val texts = listOf("good", "bad and good", "the film", "a", "good good good")
        fun labels() = texts.map { session.predict(listOf(Item.Text(it))).single().toJson() }
        val alone = labels()
        val pool = Executors.newFixedThreadPool(2)
        val found = List(2) { pool.submit<List<Any>> { List(20) { labels() } } }.map { it.get() }
        pool.shutdown()
        for (rounds in found) for (round in rounds) assertEquals(alone, round)
    }

    @Test
    fun noFolderForTheCopyIsAnErrorOfOurs() {
        val nowhere = File(folder, "file").apply { writeText("no folder") }
        val error = assertThrows(EngineError::class.java) {
            Session.open(Conformance.bundle(NAME), SessionOptions(threads = 1, temporary = nowhere))
        }
        assertTrue("can't make the folder" in error.message!!, error.message)
        assertEquals(listOf("file"), folder.list()!!.toList())
    }

    @Test
    fun soundsThatAreNoneAreRefused() {
        val good = wav(ShortArray(8) { it.toShort() })
        assertEquals(8, Sound.ofWav(good).samples.size)
        for (length in listOf(0, 3, 11, 12, 20, 40, good.size - 1)) {
            assertThrows(InputError::class.java, { Sound.ofWav(good.copyOf(length)) }, "$length bytes")
        }
        assertThrows(InputError::class.java) { Sound(FloatArray(0), 16_000) }
        assertThrows(InputError::class.java) { Sound(floatArrayOf(Float.NaN), 16_000) }
        assertThrows(InputError::class.java) { Sound(floatArrayOf(20_000f), 16_000) }
        assertThrows(InputError::class.java) { Sound(floatArrayOf(0f), 10) }
        for (at in good.indices) for (bit in 0..7) {
            val bad = good.copyOf().also { it[at] = (it[at].toInt() xor (1 shl bit)).toByte() }
            try {
                Sound.ofWav(bad)
            } catch (_: InputError) {
                // what is expected of most; nothing else may come
            }
        }
    }

    private fun wav(samples: ShortArray): ByteArray = ByteBuffer.allocate(44 + 2 * samples.size).run {
        order(ByteOrder.LITTLE_ENDIAN)
        put("RIFF".toByteArray()).putInt(36 + 2 * samples.size).put("WAVEfmt ".toByteArray()).putInt(16)
        putShort(1).putShort(1).putInt(16_000).putInt(32_000).putShort(2).putShort(16)
        put("data".toByteArray()).putInt(2 * samples.size)
        samples.forEach { putShort(it) }
        array()
    }
}
