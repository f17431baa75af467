package edgeformer.runtime.test

import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.Item
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.LoadedModel
import edgeformer.runtime.engines.OnnxRuntimeEngine
import edgeformer.runtime.engines.versionProblem
import java.io.File
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val NAME = "text-classification"

/** ONNX Runtime behind something that each run goes through. */
private class Wrapped(
    private val around: (Map<String, Tensor>, (Map<String, Tensor>) -> Map<String, Tensor>) -> Map<String, Tensor>,
) : Engine {
    private val engine = OnnxRuntimeEngine()
    val loads = AtomicInteger()
    val closes = AtomicInteger()
    override val name get() = engine.name

    override fun availability(variant: VariantEntry) = engine.availability(variant)

    override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel {
        loads.incrementAndGet()
        val model = engine.load(file, variant, threads)
        return object : LoadedModel by model {
            override fun run(feeds: Map<String, Tensor>) = around(feeds, model::run)

            override fun close() {
                closes.incrementAndGet()
                model.close()
            }
        }
    }
}

/** Sessions: choosing, checking, padding, threads, closing. */
class SessionTest {
    @TempDir
    lateinit var folder: File

    private fun feeds(vararg ids: Long): Map<String, Tensor> = mapOf(
        "input_ids" to Tensor.of(ids, 1, ids.size),
        "attention_mask" to Tensor.of(LongArray(ids.size) { 1 }, 1, ids.size),
    )

    private fun logits(session: Session, vararg ids: Long) =
        session.run(feeds(*ids)).getValue("logits").toFloats().toList()

    /** A bundle whose manifest's only variant is changed, or has others beside it. */
    private fun bundle(name: String = NAME, change: (Map<String, Any?>) -> List<Map<String, Any?>>): File =
        changed(name, File(folder, "bundle-${System.nanoTime()}")) {
            it["variants"] = change(obj(list(it["variants"])[0]))
        }

    @Test
    fun theFastestVariantIsTakenAndRemembered() {
        val three = bundle {
            listOf(
                it, it + ("name" to "slow"), it + mapOf("name" to "lite", "engine" to "litert", "format" to "tflite")
            )
        }
        // golden rows of "onnx" alone: "slow" has nothing to be compared with
        val options = SessionOptions(engines = listOf(object : Engine by OnnxRuntimeEngine() {
            override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel {
                val model = OnnxRuntimeEngine().load(file, variant, threads)
                return object : LoadedModel by model {
                    override fun run(feeds: Map<String, Tensor>) =
                        model.run(feeds).also { if (variant.name == "slow") Thread.sleep(3) }
                }
            }
        }), memory = File(folder, "memory"), threads = 1)
        Session.open(three, options).use { session ->
            assertEquals("onnx", session.variant.name)
            assertEquals(2, session.skipped.size, session.skipped.toString())
            assertTrue(session.skipped.any { it.startsWith("lite: it is made for litert") }, session.skipped.toString())
            assertTrue(
                session.skipped.any { it.startsWith("slow: ") && "slower than onnx at" in it },
                session.skipped.toString(),
            )
        }
        Session.open(three, options).use { session ->
            assertTrue(
                session.skipped.any { it == "slow: slower than onnx when measured here before" },
                session.skipped.toString(),
            )
            assertEquals("self-check: passed on this machine before", session.selfCheck)
        }
    }

    @Test
    fun anEngineThatGivesWrongResultsIsRefused() {
        val wrong = Wrapped { feeds, run ->
            run(feeds).mapValues { (_, tensor) ->
                Tensor.of(tensor.dtype, DoubleArray(tensor.size) { -tensor[it] }, *tensor.shape.toIntArray())
            }
        }
        val error = assertThrows(EngineError::class.java) {
            Session.open(Conformance.bundle(NAME), SessionOptions(engines = listOf(wrong)))
        }
        assertTrue("self-check failed" in error.message!!, error.message)
        assertEquals(wrong.loads.get(), wrong.closes.get())
        assertTrue(wrong.loads.get() > 0)
    }

    @Test
    fun whatCantRunSaysWhy() {
        fun reason(location: File, options: SessionOptions = SessionOptions()) =
            assertThrows(EngineError::class.java) { Session.open(location, options) }.message!!
        assertTrue("this app has " in reason(Conformance.bundle(NAME), SessionOptions(engines = emptyList())))
        assertTrue("too old" in reason(bundle { listOf(it + ("min_engine_version" to "99.1")) }))
        assertTrue(
            "only with other_package" in reason(bundle { listOf(it + ("engine_packages" to listOf("other_package"))) })
        )
        val steps = listOf(mapOf("input" to "a", "output" to "b", "axis" to 1L, "update" to "append"))
        val stepping =
            bundle { listOf(it + ("graphs" to mapOf("main" to obj(obj(it["graphs"])["main"]) + ("states" to steps)))) }
        assertTrue("runs in steps" in reason(stepping))
        assertThrows(InputError::class.java) {
            Session.open(Conformance.bundle(NAME), SessionOptions(variant = "none"))
        }
        assertThrows(InputError::class.java) { Session.open(Conformance.bundle(NAME), SessionOptions(threads = 0)) }
        assertNull(versionProblem("x", "1.19.0", "1.19"))
        assertNull(versionProblem("x", "1.20", "1.19.5"))
        assertTrue("too old" in versionProblem("x", "1.9", "1.19")!!)
    }

    @Test
    fun aModelFileThatIsNoneIsAnEngineError() {
        val broken = changed(NAME, File(folder, "broken")) { manifest ->
            val content = "no model".toByteArray()
            File(folder, "broken/variants/onnx/model.onnx").writeBytes(content)
            manifest["files"] = list(manifest["files"]).map(::obj).map {
                if (it["path"] != "variants/onnx/model.onnx") it
                else it + mapOf("bytes" to content.size.toLong(), "sha256" to edgeformer.runtime.bundle.sha256(content))
            }
        }
        assertTrue("can't load" in assertThrows(EngineError::class.java) { Session.open(broken) }.message!!)
    }

    @Test
    fun paddingAndSplittingChangeNothing() {
        val plain = Session.open(Conformance.bundle(NAME), SessionOptions(threads = 1))
        val shapes = ArrayList<List<Int>>()
        val watch = Wrapped { feeds, run -> run(feeds).also { shapes += feeds.getValue("input_ids").shape } }
        val static =
            bundle { listOf(it + mapOf("lengths" to mapOf("sequence" to listOf(4L, 16L)), "fixed_batch" to 2L)) }
        plain.use {
            Session.open(static, SessionOptions(engines = listOf(watch))).use { session ->
                assertTrue("passed" in session.selfCheck)
                shapes.clear()
                assertEquals(logits(plain, 2, 4, 5, 4, 3), logits(session, 2, 4, 5, 4, 3))
                assertEquals(listOf(listOf(2, 16)), shapes)
                val rows = longArrayOf(2, 4, 3, 2, 5, 3, 2, 9, 3)
                val batch =
                    mapOf("input_ids" to Tensor.of(rows, 3, 3), "attention_mask" to Tensor.of(LongArray(9) { 1 }, 3, 3))
                val found = session.run(batch).getValue("logits")
                assertEquals(listOf(listOf(2, 16), listOf(2, 4), listOf(2, 4)), shapes)
                assertEquals(listOf(4L, 5L, 9L).flatMap { logits(plain, 2, it, 3) }, found.toFloats().toList())
                assertThrows(InputError::class.java) { logits(session, *LongArray(17) { 4 }) }
            }
        }
    }

    @Test
    fun outputsOfTokensAreCutBack() {
        val name = "token-classification"
        val static = bundle(name) { listOf(it + ("lengths" to mapOf("sequence" to listOf(16L)))) }
        val options = SessionOptions(threads = 1)
        Session.open(Conformance.bundle(name), options).use { plain ->
            Session.open(static, options).use { session ->
                val (a, b) = listOf(plain, session).map { it.run(feeds(2, 6, 7, 8, 9, 3)).getValue("logits") }
                assertEquals(listOf(1, 6, 3), b.shape)
                assertTrue(a.contentEquals(b))
            }
        }
    }

    @Test
    fun wrongFeedsAreRefused() {
        Session.open(Conformance.bundle(NAME)).use { session ->
            val good = feeds(2, 4, 3)
            for (bad in listOf(
                good - "attention_mask", good + ("more" to Tensor.of(longArrayOf(1), 1)), emptyMap(),
                good + ("attention_mask" to Tensor.of(longArrayOf(1, 1), 1, 2)),
                good + ("input_ids" to Tensor.of(longArrayOf(2, 4, 3), 3)),
                good + ("input_ids" to Tensor.zeros(DType.FLOAT32, listOf(1, 3))),
                good + ("input_ids" to Tensor.zeros(DType.INT64, listOf(1, 0))),
            )) assertThrows(InputError::class.java, { session.run(bad) }, bad.toString())
            assertThrows(InputError::class.java) { session.predict(emptyList(), labels = listOf("a", "b")) }
            assertThrows(InputError::class.java) { session.embed(listOf(Item.Text("a")), "image") }
            assertThrows(InputError::class.java) { Tensor.of(longArrayOf(1, 2), 3) }
        }
        Session.open(Conformance.bundle("tensors")).use {
            assertThrows(InputError::class.java) { it.predict(listOf(Item.Text("a"))) }
        }
    }

    @Test
    fun halvesAreRoundedToEven() {
        val values = doubleArrayOf(
            0.0, -0.0, 1.0, -2.5, 65504.0, 65519.9, 65520.0, 6e-8, 2e-8, 0.1, 1.0 + 1.0 / 2048, 1.0 + 3.0 / 2048, 6.1e-5
        )
        val expected = listOf(
            0.0,
            -0.0,
            1.0,
            -2.5,
            65504.0,
            65504.0,
            Double.POSITIVE_INFINITY,
            5.960464477539063e-8,
            0.0,
            0.0999755859375,
            1.0,
            1.001953125,
            6.097555160522461e-5,
        )
        assertEquals(expected, Tensor.of(DType.FLOAT16, values, values.size).toDoubles().toList())
    }

    @Test
    fun manyThreadsShareASession() {
        Session.open(Conformance.bundle(NAME), SessionOptions(threads = 1)).use { session ->
            val inputs = (4L..12L).map { longArrayOf(2, it, 3) }
            val alone = inputs.map { logits(session, *it) }
            val pool = Executors.newFixedThreadPool(4)
            try {
                val calls = (0 until 200).map { index ->
                    pool.submit<List<Float>> { logits(session, *inputs[index % inputs.size]) }
                }
                calls.forEachIndexed { index, call ->
                    assertEquals(alone[index % inputs.size], call.get(60, TimeUnit.SECONDS))
                }
            } finally {
                pool.shutdown()
            }
        }
    }

    @Test
    fun closingLetsCallsInsideEndWell() {
        val isInside = CountDownLatch(1)
        val mayGoOn = CountDownLatch(1)
        var isWaiting = false
        val engine = Wrapped { feeds, run ->
            if (isWaiting) {
                isInside.countDown()
                mayGoOn.await()
            }
            run(feeds)
        }
        val session = Session.open(Conformance.bundle(NAME), SessionOptions(engines = listOf(engine)))
        val expected = logits(session, 2, 4, 3)
        isWaiting = true
        val pool = Executors.newSingleThreadExecutor()
        try {
            val call = pool.submit<List<Float>> { logits(session, 2, 4, 3) }
            isInside.await()
            session.close()
            session.close()
            assertThrows(InputError::class.java) { logits(session, 2, 4, 3) }
            assertThrows(InputError::class.java) { session.predict(emptyList()) }
            assertThrows(InputError::class.java) { session.benchmark() }
            assertEquals(0, engine.closes.get())
            mayGoOn.countDown()
            assertEquals(expected, call.get(60, TimeUnit.SECONDS))
        } finally {
            mayGoOn.countDown()
            pool.shutdown()
        }
        assertTrue(pool.awaitTermination(60, TimeUnit.SECONDS))
        assertEquals(1, engine.closes.get())
    }

    @Test
    fun notANumberIsNoPrediction() {
        val engine = Wrapped { feeds, run ->
            run(feeds).mapValues { (_, it) ->
                Tensor.of(it.dtype, DoubleArray(it.size) { Double.NaN }, *it.shape.toIntArray())
            }
        }
        val options =
            SessionOptions(engines = listOf(engine), selfCheck = edgeformer.runtime.selection.SelfCheckMode.NEVER)
        Session.open(Conformance.bundle("image-classification"), options).use { session ->
            assertThrows(RuntimeBundleError::class.java) {
                session.predict(listOf(Item.Image(Conformance.picture("picture.png"))))
            }
        }
    }
}
