package edgeformer.runtime.selection

import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.MAIN
import edgeformer.runtime.bundle.Manifest
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.LoadedModel

/** Runs those of a variant's graphs whose inputs are given: a picture alone costs its own tower alone. */
private class GraphsRunner(override val variant: VariantEntry, private val parts: Map<String, VariantRunner>) : Runner {
    override val label get() = parts.values.map { it.label }.distinct().joinToString(" + ")
    override val delegation get() = parts.flatMap { (name, runner) -> runner.delegation.map { "$name: $it" } }

    override fun run(feeds: Map<String, Tensor>): Map<String, Tensor> {
        val left = LinkedHashMap(feeds)
        val outputs = LinkedHashMap<String, Tensor>()
        for (runner in parts.values) {
            val given = runner.inputs.map { it.name }.filter { it in left }.associateWith { left.remove(it)!! }
            if (given.isNotEmpty()) outputs += runner.run(given)
        }
        if (left.isNotEmpty() || outputs.isEmpty()) {
            val taken = parts.entries.joinToString("; ") { (name, runner) ->
                "$name: ${runner.inputs.joinToString { it.name }}"
            }
            throw InputError(
                "variant '${variant.name}': expected the inputs of its graphs, or of some of them ($taken), got " +
                    left.keys.joinToString().ifEmpty { "nothing" }
            )
        }
        return outputs
    }

    override fun close() = parts.values.forEach { it.close() }
}

/** Why no runner here is for the graphs of [variant]; null where there is one. */
internal fun cannotRun(variant: VariantEntry): String? {
    val graphs = variant.graphs
    val isDescribed = graphs.values.all { it.inputs != null && it.outputs != null }
    return when {
        graphs.values.any { it.hasStates } -> "it runs in steps, which this runtime can't"
        graphs.keys == setOf(MAIN) || isDescribed -> null
        else -> "its graphs ${graphs.keys.joinToString()} don't say what each of them takes and gives"
    }
}

/** A runner of all graphs of [variant]; [load] gives the model at a path of the bundle. Raises EngineError. */
internal fun openRunner(
    variant: VariantEntry,
    manifest: Manifest,
    load: (String, VariantEntry) -> LoadedModel,
): Runner {
    cannotRun(variant)?.let { throw EngineError("variant '${variant.name}': $it") }
    val parts = LinkedHashMap<String, VariantRunner>()
    try {
        for ((name, graph) in variant.graphs) {
            val entry = variant.ofGraph(name)
            parts[name] = VariantRunner(
                load(graph.path, entry), entry, graph.inputs ?: manifest.inputs, graph.outputs ?: manifest.outputs
            )
        }
    } catch (error: Throwable) {
        parts.values.forEach { it.close() }
        throw error
    }
    return parts[MAIN]?.takeIf { parts.size == 1 } ?: GraphsRunner(variant, parts)
}
