package edgeformer.runtime.test

import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.LoadedModel
import edgeformer.runtime.engines.OnnxRuntimeEngine
import edgeformer.runtime.measuring.median
import edgeformer.runtime.measuring.textOf
import edgeformer.runtime.report.jsonText
import edgeformer.runtime.selection.SelfCheckMode
import edgeformer.runtime.text.Cut
import edgeformer.runtime.text.Tokenizer
import edgeformer.runtime.text.Truncation
import java.io.File
import java.lang.management.ManagementFactory

private const val ROUNDS = 21 // the first third is for the compiler of the JVM
private const val TEXTS = 1500
private const val TOKENS = 64
private const val CALLS = 40
private const val MANY_CALLS = 100_000
private val TOKENIZERS = listOf("minilm", "roberta", "t5") // WordPiece, BPE of bytes, Unigram

/** What bench.sh prints; arguments: the folder that make_large.py wrote, and a bundle of a real model. */
fun main(arguments: Array<String>) {
    val texts = list(readJson(File(arguments[0], "texts.json").readBytes(), "texts", 1 shl 28, 10_000_000))
        .map { it as String }.filter { text -> text.length > 60 && text.all { it < '\u0250' } }.take(TEXTS)
    val found = mapOf("tokenizer_mb_per_s" to speeds(File(arguments[0]), texts)) + overhead(File(arguments[1])) +
        mapOf("memory_mb" to memory(Conformance.bundle("text-classification")))
    println(jsonText(found).replace("\n", ""))
}

/** Processor time of this thread: what else runs on the machine doesn't count. Engines have one thread, this one. */
private fun cpuNs(): Long = ManagementFactory.getThreadMXBean().currentThreadCpuTime

private fun speeds(folder: File, texts: List<String>): Map<String, Double> {
    val megabytes = texts.sumOf { it.toByteArray().size } / 1e6
    val opened = TOKENIZERS.associateWith { Tokenizer(File(folder, "$it.json").readBytes()) }
    val cut = Truncation(512, Cut.LONGEST)
    val seconds = opened.mapValues { ArrayList<Double>() }
    repeat(ROUNDS) {
        for ((name, tokenizer) in opened) {
            val start = cpuNs()
            for (text in texts) tokenizer.encode(text, null, cut)
            seconds.getValue(name) += (cpuNs() - start) / 1e9
        }
    }
    return seconds.mapValues { (_, times) -> megabytes / median(times.drop(ROUNDS / 3)) }
}

/** The engine, which keeps the model that it loaded. */
private class Kept(private val engine: Engine) : Engine by engine {
    var model: LoadedModel? = null

    override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel =
        engine.load(file, variant, threads).also { model = it }
}

/** The session's call against that of its engine, in turns; medians. */
private fun overhead(bundle: File): Map<String, Double> {
    val kept = Kept(NewerThanItsApi(OnnxRuntimeEngine()))
    val options = SessionOptions(threads = 1, selfCheck = SelfCheckMode.NEVER, engines = listOf(kept))
    Session.open(bundle, options).use { session ->
        val feeds = session.manifest.inputs.associate { it.name to Tensor.of(LongArray(TOKENS) { 1 }, 1, TOKENS) }
        val engine = kept.model!!
        val own = ArrayList<Double>()
        val bare = ArrayList<Double>()
        fun timed(into: MutableList<Double>, call: () -> Unit) {
            val start = cpuNs()
            call()
            into += (cpuNs() - start) / 1e3
        }
        repeat(2 * CALLS) { session.run(feeds) }
        repeat(ROUNDS * CALLS) { round ->
            val calls = listOf({ timed(own) { session.run(feeds) } }, { timed(bare) { engine.run(feeds) } })
            (if (round % 2 == 0) calls else calls.reversed()).forEach { it() }
        }
        return mapOf("overhead_ratio" to median(own) / median(bare) - 1, "overhead_us" to median(own) - median(bare))
    }
}

private fun <T> open(bundle: File, use: (Session) -> T): T =
    Session.open(bundle, SessionOptions(threads = 1, engines = listOf(NewerThanItsApi(OnnxRuntimeEngine())))).use(use)

/** Memory of this process after some calls, and after many. */
private fun memory(bundle: File): Map<String, Double> = open(bundle) { session ->
    val feeds = session.manifest.inputs.associate { it.name to Tensor.of(longArrayOf(1, 2, 3), 1, 3) }
    fun heldMb(): Double {
        repeat(3) { System.gc() }
        Thread.sleep(200)
        return Regex("VmRSS:\\s*([0-9]+)").find(textOf("/proc/self/status")!!)!!.groupValues[1].toDouble() / 1024
    }
    repeat(1000) { session.run(feeds) }
    val early = heldMb()
    repeat(MANY_CALLS - 1000) { session.run(feeds) }
    mapOf("after 1000" to early, "after $MANY_CALLS" to heldMb())
}
