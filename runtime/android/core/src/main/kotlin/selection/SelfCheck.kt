package edgeformer.runtime.selection

import edgeformer.runtime.EngineError
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.Golden
import edgeformer.runtime.bundle.GoldenVariant
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.bundle.sha256
import edgeformer.runtime.measuring.deviceFacts
import kotlin.math.sqrt

/** When a variant answers the bundle's golden rows: once a bundle, engine and processor, each time, or not at all. */
enum class SelfCheckMode { FIRST, ALWAYS, NEVER }

/** Of places where one number clearly leads, so many must lead in the answer too. */
private const val DECISIVE_SHARE = 0.98
private const val DECISIVE_SIGMAS = 6.0
private const val MEMORY_NAME = "self-check.json"

/** How a self-check ended; [similarity] and [firstInferenceMs] are null where no row was run. */
internal class SelfCheck(val text: String, val similarity: Double? = null, val firstInferenceMs: Double? = null)

/** Compare a loaded variant with its golden rows; raises EngineError where it gives wrong results. */
internal fun selfCheck(
    bundle: Bundle,
    runner: Runner,
    detail: String?,
    mode: SelfCheckMode,
    memory: Memory,
): SelfCheck {
    if (mode == SelfCheckMode.NEVER) return SelfCheck("self-check: switched off")
    val name = runner.variant.name
    val golden = readGolden(bundle)
    val expected = golden?.variants?.get(name)
        ?: return SelfCheck("self-check: none: the bundle holds no golden rows for '$name'")
    val key = sha256(
        listOf(bundle.digest, name, runner.label, detail, deviceFacts().processor).joinToString("\n").toByteArray()
    )
    if (mode == SelfCheckMode.FIRST && memory.recall(MEMORY_NAME, key) == true) {
        return SelfCheck("self-check: passed on this machine before")
    }
    return compare(runner, golden, expected).also { memory.remember(MEMORY_NAME, key, true) }
}

private fun compare(runner: Runner, golden: Golden, expected: GoldenVariant): SelfCheck {
    val start = System.nanoTime()
    var firstMs = 0.0
    val answers = golden.rows.mapIndexed { index, row ->
        try {
            runner.run(row).also { if (index == 0) firstMs = (System.nanoTime() - start) / 1e6 }
        } catch (error: InputError) {
            throw RuntimeBundleError(
                "golden.json: a row doesn't fit the variant's inputs: ${error.message}", ErrorCode.GOLDEN, error
            )
        }
    }
    fun wrong(found: String): Nothing = throw EngineError(
        "variant '${runner.variant.name}' on ${runner.label}: self-check failed: this engine gives wrong results for " +
            "this file: $found (they were made by ${expected.executedBy}). Use another variant or another engine"
    )
    val needed = expected.similarityMin
    val least = similarities(answers, expected.outputs).min()
    if (!(least >= needed)) wrong("similarity $least with the verified outputs, $needed is needed")
    val (agreeing, decisive) = decisions(answers, expected)
    if (agreeing < DECISIVE_SHARE * decisive) {
        wrong("of $decisive clear decisions in the verified outputs it makes $agreeing")
    }
    return SelfCheck(
        "self-check: passed: ${answers.size} rows, least similarity ${"%.6f".format(java.util.Locale.ROOT, least)} " +
            "with the verified outputs, $needed needed; $agreeing of $decisive clear decisions equal",
        least,
        firstMs,
    )
}

/**
 * For each row 1 − |a − b|² / (2 · max(|a| |b|, m²)), m the median length of the [expected] rows; −1 where something
 * isn't finite or has another shape.
 */
internal fun similarities(answers: List<Map<String, Tensor>>, expected: List<Map<String, Tensor>>): List<Double> {
    val lengths = expected.map { norm(vector(it, it)) }.sorted()
    val usual = (lengths[(lengths.size - 1) / 2] + lengths[lengths.size / 2]) / 2
    return answers.zip(expected) { answer, row ->
        val fits = row.all { (name, tensor) -> answer[name]?.shape == tensor.shape }
        if (!fits) -1.0 else similarity(vector(answer, row), vector(row, row), usual)
    }
}

private fun similarity(a: DoubleArray, b: DoubleArray, usual: Double): Double {
    if (!a.all { it.isFinite() }) return -1.0
    var error = 0.0
    for (index in a.indices) error += (a[index] - b[index]) * (a[index] - b[index])
    if (error == 0.0) return 1.0
    val scale = maxOf(norm(a) * norm(b), usual * usual)
    return if (scale > 0) maxOf(-1.0, 1 - error / (2 * scale)) else -1.0
}

private fun norm(values: DoubleArray): Double = sqrt(values.sumOf { it * it })

/** The outputs of [row] behind each other, in the order of [names]. */
private fun vector(row: Map<String, Tensor>, names: Map<String, Tensor>): DoubleArray =
    names.keys.map { row.getValue(it).toDoubles() }.fold(DoubleArray(0)) { all, next -> all + next }

/**
 * (how many clear decisions are equal, how many there are): a decision is the largest number along an output's last
 * axis.
 */
private fun decisions(answers: List<Map<String, Tensor>>, expected: GoldenVariant): Pair<Int, Int> {
    var agreeing = 0
    var decisive = 0
    expected.outputs.forEachIndexed { index, row ->
        val reference = vector(row, row)
        val allowed = norm(reference) * sqrt(2 * (1 - expected.similarityMin) / reference.size)
        for ((name, right) in row) {
            val size = right.shape.lastOrNull() ?: 0
            if (size < 2) continue
            val (a, b) = answers[index].getValue(name).toDoubles() to right.toDoubles()
            for (start in b.indices step size) {
                val place = b.copyOfRange(start, start + size)
                val best = place.indices.maxByOrNull { place[it] }!!
                val second = place.indices.filter { it != best }.maxOf { place[it] }
                if (place[best] - second <= DECISIVE_SIGMAS * allowed) continue
                decisive++
                if ((0 until size).maxByOrNull { a[start + it] } == best) agreeing++
            }
        }
    }
    return agreeing to decisive
}
