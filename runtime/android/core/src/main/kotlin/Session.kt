package edgeformer.runtime

import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.Manifest
import edgeformer.runtime.bundle.SEQUENCE
import edgeformer.runtime.bundle.SigningKey
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.OnnxRuntimeEngine
import edgeformer.runtime.measuring.Instruments
import edgeformer.runtime.measuring.PowerSource
import edgeformer.runtime.measuring.Protocol
import edgeformer.runtime.measuring.ThermalSource
import edgeformer.runtime.measuring.ThrottleSource
import edgeformer.runtime.measuring.Wanted
import edgeformer.runtime.measuring.deviceFacts
import edgeformer.runtime.measuring.measure
import edgeformer.runtime.measuring.peakRssBytes
import edgeformer.runtime.report.Report
import edgeformer.runtime.report.ReportFacts
import edgeformer.runtime.selection.Choice
import edgeformer.runtime.selection.LoadOptions
import edgeformer.runtime.selection.Memory
import edgeformer.runtime.selection.SelfCheckMode
import edgeformer.runtime.selection.choose
import edgeformer.runtime.selection.load
import edgeformer.runtime.selection.predictionInputs
import edgeformer.runtime.selection.syntheticFeeds
import edgeformer.runtime.selection.typicalSizes
import edgeformer.runtime.tasks.Embedding
import edgeformer.runtime.tasks.Prediction
import edgeformer.runtime.tasks.taskOf
import edgeformer.runtime.text.TextEncoder
import java.io.Closeable
import java.io.File
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

const val RUNTIME_VERSION = "0.1.0 (Kotlin)"

/** How a session is opened. Threads default to the processors that this process may use. */
class SessionOptions(
    /** A name of the manifest, or "auto": every usable variant is timed for a moment, and the fastest taken. */
    val variant: String = "auto",
    val threads: Int = Runtime.getRuntime().availableProcessors(),
    /** The bundle must be signed with one of them; none: no signature is looked at. */
    val keys: List<SigningKey> = emptyList(),
    val selfCheck: SelfCheckMode = SelfCheckMode.FIRST,
    /** What may run variants; the first of a variant's name does. */
    val engines: List<Engine> = listOf(OnnxRuntimeEngine()),
    /** Where choices and passed checks are kept, as `Context.getNoBackupFilesDir()`; null: nothing is kept. */
    val memory: File? = null,
    /** A folder that only this app can write to, as `Context.getCacheDir()`. */
    val temporary: File = File(System.getProperty("java.io.tmpdir").orEmpty()),
)

/**
 * One variant of a bundle, loaded. Every method may be called from several threads at once. [close] returns at once:
 * calls that are inside end well, and the last of them releases the model; later calls raise InputError.
 */
class Session private constructor(
    private val bundle: Bundle,
    private val texts: TextEncoder?,
    private val choice: Choice,
    private val options: SessionOptions,
    private val rssBeforeBytes: Long?,
) : Closeable {
    private val runner = choice.loaded.runner
    private val gate = Gate {
        runner.close()
        bundle.close()
    }
    private val predictor by lazy { Predictor(bundle, texts, options.selfCheck != SelfCheckMode.NEVER, ::runTimed) }

    val manifest: Manifest get() = bundle.manifest

    /** SHA-256 of manifest.json, which names the bundle. */
    val digest: String get() = bundle.digest

    /** The variant that runs. */
    val variant: VariantEntry get() = runner.variant

    /** What runs it: engine, version and what it runs on. */
    val engine: String get() = runner.label

    /** Which variants aren't used, each with its reason. */
    val skipped: List<String> get() = choice.skipped

    /** How the comparison with the verified outputs ended, in words. */
    val selfCheck: String get() = choice.loaded.check.text

    /**
     * One inference: {input name: tensor} to {output name: tensor}, as the manifest describes both. Rows are split and
     * padded as the variant's file needs. Raises InputError, EngineError.
     */
    fun run(feeds: Map<String, Tensor>): Map<String, Tensor> = gate.enter { runTimed(feeds) }

    /**
     * The task's result for each of [items], one row at a time. [prompt] names one of the bundle's prompts (null: its
     * default, "": none), [labels] are others than the bundle's own, for zero-shot-image-classification.
     *
     * Raises InputError, EngineError, RuntimeBundleError.
     */
    fun predict(items: List<Item>, prompt: String? = null, labels: List<String>? = null): List<Prediction> =
        gate.enter { predictor.predict(items, prompt, labels) }

    /** The vector of each of [items]; [kind] says whether they are of "image" or "text". Raises as [predict]. */
    fun embed(items: List<Item>, kind: String, prompt: String? = null): List<Embedding> =
        gate.enter { predictor.embed(items, kind, prompt) }

    /**
     * Measure single rows of synthetic input and report. [runs] or [durationS] set how much is timed, over all repeats
     * together; [sustainedMinutes] adds a long run at the end. The sensors are the app's: [throttles] are asked whether
     * the device slows itself down; without [thermometer] and [power] the report says that there is neither.
     *
     * Raises InputError, EngineError.
     */
    fun benchmark(
        protocol: Protocol = Protocol.STANDARD,
        runs: Int? = null,
        durationS: Double? = null,
        sequenceLength: Int? = null,
        throttles: List<ThrottleSource> = emptyList(),
        thermometer: ThermalSource? = null,
        power: PowerSource? = null,
        sustainedMinutes: Double? = null,
    ): Report = gate.enter {
        val inputs = predicted(manifest)
        val usual = typicalSizes(manifest, inputs, listOf(variant))
        if (sequenceLength != null && (sequenceLength < 1 || SEQUENCE !in usual)) {
            throw InputError(
                "sequence length $sequenceLength: expected at least 1, of a model whose inputs have a sequence"
            )
        }
        val sizes = if (sequenceLength == null) usual else usual + (SEQUENCE to sequenceLength)
        val feeds = syntheticFeeds(inputs, sizes)
        runTimed(feeds) // the first inference, before the idle baseline: it may allocate
        val started = isoTime()
        val instruments = Instruments(throttles = throttles, thermometer = thermometer, power = power)
        val found = measure({ runner.run(feeds) }, instruments, Wanted(protocol, runs, durationS, sustainedMinutes))
        Report(facts(sizes[SEQUENCE], started), found)
    }

    private fun runTimed(feeds: Map<String, Tensor>): Map<String, Tensor> {
        val start = System.nanoTime()
        val outputs = runner.run(feeds)
        if (choice.loaded.firstInferenceMs == null) choice.loaded.firstInferenceMs = (System.nanoTime() - start) / 1e6
        return outputs
    }

    private fun facts(asked: Int?, started: String): ReportFacts {
        val reasons = HashMap<String, String>()
        val length = asked?.let { variant.lengths[SEQUENCE]?.first { made -> made >= it } ?: it }
        if (length == null) reasons["sequence_length"] = "the model's inputs have no sequence"
        val padded =
            if (length == asked) emptyList() else listOf("$asked positions were asked for: the variant pads to $length")
        val peak = peakRssBytes()
        val growth =
            if (choice.isShared || peak == null || rssBeforeBytes == null) null else maxOf(0, peak - rssBeforeBytes)
        if (peak == null) reasons["peak_rss_bytes"] = "this system doesn't tell a process its peak memory"
        if (growth == null) {
            reasons["peak_rss_growth_bytes"] =
                if (choice.isShared) "several variants were loaded to choose one: name the variant to measure it"
                else "this system doesn't tell a process its peak memory"
        }
        reasons["device.physical_cores"] = "the virtual machine doesn't tell them"
        val check = variant.verification
        val accuracy = if (check?.metricName == null || check.metric == null) null else {
            mapOf("metric" to check.metricName, "value" to check.metric, "samples" to check.samples)
        }
        if (accuracy == null) reasons["accuracy"] = "the bundle was compiled without labelled evaluation rows"
        return ReportFacts(
            bundleName = manifest.name,
            bundleDigest = digest,
            variant = variant.name,
            engine = engine,
            threads = options.threads,
            sequenceLength = length,
            loadMs = choice.loaded.loadMs,
            firstInferenceMs = choice.loaded.firstInferenceMs!!,
            peakRssBytes = peak,
            peakRssGrowthBytes = growth,
            delegation = padded + runner.delegation + selfCheck,
            skipped = skipped,
            accuracy = accuracy,
            device = deviceFacts(),
            startedAt = started,
            runtimeVersion = RUNTIME_VERSION,
            reasons = reasons,
        )
    }

    override fun close() = gate.close()

    companion object {
        /**
         * Open and verify the bundle at [location], a directory or a .zip of one, read its tokenizer where it has one,
         * and load one variant.
         *
         * Raises RuntimeBundleError for the bundle, also where its tokenizer has a part or a setting that this runtime
         * doesn't know, EngineError when nothing here can run it, InputError for a wrong argument.
         */
        fun open(location: File, options: SessionOptions = SessionOptions()): Session {
            if (options.threads < 1) throw InputError("threads ${options.threads}: expected an integer of at least 1")
            val bundle = Bundle.open(location, options.keys, options.temporary)
            try {
                val rss = peakRssBytes()
                val texts = textEncoder(bundle) // before an engine is asked: what is refused costs no load of a model
                val inputs = predicted(bundle.manifest)
                val how =
                    LoadOptions(options.engines, options.threads, options.selfCheck, Memory(options.memory), inputs)
                val choice = if (options.variant == "auto") choose(bundle, how) else {
                    Choice(load(bundle, bundle.manifest.variant(options.variant), how), emptyList(), false)
                }
                return Session(bundle, texts, choice, options, rss)
            } catch (error: Throwable) {
                bundle.close()
                throw error
            }
        }

        private fun predicted(manifest: Manifest) = predictionInputs(
            manifest,
            try {
                taskOf(manifest.task, manifest.outputs)?.kinds.orEmpty()
            } catch (_: InputError) { // a task of a later release: arrays still run
                emptyList()
            },
        )

        /** UTC, ISO 8601; java.time came with API 26. */
        private fun isoTime(): String = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT)
            .apply { timeZone = TimeZone.getTimeZone("UTC") }.format(Date())
    }
}
