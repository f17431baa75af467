package edgeformer.runtime.selection

import edgeformer.runtime.EngineError
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.TensorSpec
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.bundle.sha256
import edgeformer.runtime.engines.Availability
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.measuring.deviceFacts
import edgeformer.runtime.measuring.median

private const val WARMUP_RUNS = 3
private const val TRIAL_RUNS = 7
private const val MEMORY_NAME = "variant-choice.json"

/**
 * How to load: with which engines, threads and checks. [predicted]: the inputs of a prediction, which trials are made
 * with.
 */
internal class LoadOptions(
    val engines: List<Engine>,
    val threads: Int,
    val selfCheck: SelfCheckMode,
    val memory: Memory,
    val predicted: List<TensorSpec>,
)

/** A variant in memory; [loadMs] is what loading took, [firstInferenceMs] its first run, once there was one. */
internal class Loaded(val runner: Runner, val loadMs: Double, var firstInferenceMs: Double?, val check: SelfCheck)

/** What runs, and why each other variant doesn't; [isShared]: several were loaded to find out. */
internal class Choice(val loaded: Loaded, val skipped: List<String>, val isShared: Boolean)

private class Candidate(val variant: VariantEntry, val engine: Engine?, val availability: Availability)

/** Load [variant]; raises EngineError where no engine here can, or its results are wrong. */
internal fun load(bundle: Bundle, variant: VariantEntry, options: LoadOptions): Loaded =
    load(bundle, candidate(variant, options), options)

private fun candidate(variant: VariantEntry, options: LoadOptions): Candidate {
    cannotRun(variant)?.let { return Candidate(variant, null, Availability(variant.engine, null, it)) }
    val engine = options.engines.firstOrNull { it.name == variant.engine }
        ?: return Candidate(
            variant, null,
            Availability(
                variant.engine, null, "it is made for ${variant.engine}, and this app has " +
                    "${options.engines.joinToString { it.name }}"
            ),
        )
    return Candidate(variant, engine, engine.availability(variant))
}

private fun load(bundle: Bundle, candidate: Candidate, options: LoadOptions): Loaded {
    val found = candidate.availability
    val engine = candidate.engine
    if (engine == null || found.reason != null) {
        throw EngineError("variant '${candidate.variant.name}' can't run here: ${found.reason}")
    }
    val start = System.nanoTime()
    val runner = openRunner(candidate.variant, bundle.manifest) { path, entry ->
        bundle.loadable(path) { engine.load(it, entry, options.threads) }
    }
    val loadMs = (System.nanoTime() - start) / 1e6
    try {
        val check = selfCheck(bundle, runner, found.detail, options.selfCheck, options.memory)
        return Loaded(runner, loadMs, check.firstInferenceMs, check)
    } catch (error: Throwable) {
        runner.close()
        throw error
    }
}

/**
 * The fastest variant here whose results are right; which one is remembered for this bundle, these engines, threads and
 * processor. Raises EngineError where none is usable, with the reason of each.
 */
internal fun choose(bundle: Bundle, options: LoadOptions): Choice {
    val manifest = bundle.manifest
    val found = manifest.variants.map { candidate(it, options) }
    val skipped = manifest.skipped("variant").mapTo(ArrayList()) { "${it.name}: ${it.reason}" }
    found.filter { it.availability.reason != null }.mapTo(skipped) { "${it.variant.name}: ${it.availability.reason}" }
    val usable = found.filter { it.availability.reason == null }
    val key = sha256(
        (listOf(bundle.digest, options.threads, deviceFacts().processor) +
            usable.map { "${it.variant.name} ${it.availability}" })
            .joinToString("\n").toByteArray()
    )
    val remembered =
        usable.firstOrNull { usable.size > 1 && it.variant.name == options.memory.recall(MEMORY_NAME, key) }
    if (remembered != null) {
        try {
            val loaded = load(bundle, remembered, options)
            val others = usable.filter { it !== remembered }
                .map { "${it.variant.name}: slower than ${remembered.variant.name} when measured here before" }
            return Choice(loaded, skipped + others, false)
        } catch (_: EngineError) {
            // memory or the engine changed since: measure again
        }
    }
    val loaded = ArrayList<Loaded>()
    try {
        for (candidate in usable) {
            try {
                loaded += load(bundle, candidate, options)
            } catch (error: EngineError) {
                skipped += "${candidate.variant.name}: ${error.message}"
            }
        }
        return fastest(bundle, loaded, skipped, options, key)
    } catch (error: Throwable) {
        loaded.forEach { it.runner.close() }
        throw error
    }
}

private fun fastest(
    bundle: Bundle,
    loaded: List<Loaded>,
    skipped: MutableList<String>,
    options: LoadOptions,
    key: String,
): Choice {
    if (loaded.size == 1) return Choice(loaded[0], skipped, false)
    val ranked = trial(bundle, loaded, skipped, options).entries.sortedBy { it.value }
    val best = ranked.firstOrNull()
        ?: throw EngineError(
            "bundle '${bundle.manifest.name}': no variant can run here: ${skipped.joinToString("; ")}; " +
                "'edgeformer inspect BUNDLE --for android' says what to add",
        )
    val name = best.key.runner.variant.name
    for ((other, ms) in ranked.drop(1)) {
        skipped += "${other.runner.variant.name}: ${rounded(ms)} ms, slower than $name at ${rounded(best.value)} ms"
        other.runner.close()
    }
    if (ranked.size > 1) options.memory.remember(MEMORY_NAME, key, name)
    return Choice(best.key, skipped, loaded.size > 1)
}

/** Median ms of each of [loaded], timed in turns; those that fail are closed and go to [skipped]. */
private fun trial(
    bundle: Bundle,
    loaded: List<Loaded>,
    skipped: MutableList<String>,
    options: LoadOptions,
): Map<Loaded, Double> {
    if (loaded.isEmpty()) return emptyMap()
    val sizes = typicalSizes(bundle.manifest, options.predicted, loaded.map { it.runner.variant })
    val feeds = syntheticFeeds(options.predicted, sizes)
    val times = loaded.associateWithTo(LinkedHashMap()) { ArrayList<Double>() }
    repeat(WARMUP_RUNS + TRIAL_RUNS) {
        for (item in times.keys.toList()) {
            val start = System.nanoTime()
            try {
                item.runner.run(feeds)
            } catch (error: EngineError) {
                skipped += "${item.runner.variant.name}: ${error.message}"
                times.remove(item)
                item.runner.close()
                continue
            }
            times.getValue(item) += (System.nanoTime() - start) / 1e6
            if (item.firstInferenceMs == null) item.firstInferenceMs = times.getValue(item)[0]
        }
    }
    return times.mapValues { median(it.value.drop(WARMUP_RUNS)) }
}

private fun rounded(ms: Double): String = "%.3f".format(java.util.Locale.ROOT, ms)
