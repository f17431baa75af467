package edgeformer.runtime.selection

import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.BATCH
import edgeformer.runtime.bundle.Dim
import edgeformer.runtime.bundle.TensorSpec
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.LoadedModel
import java.io.Closeable

/** A loaded variant: runs any rows and lengths that its files can take. */
internal interface Runner : Closeable {
    val variant: VariantEntry

    /** What runs it: engine, version and what it runs on. */
    val label: String
    val delegation: List<String>

    /**
     * {input name: tensor} to {output name: tensor}, as the manifest describes both; raises InputError, EngineError.
     */
    fun run(feeds: Map<String, Tensor>): Map<String, Tensor>
}

/**
 * One graph: pads named dimensions to the sizes that the file has, splits rows into parts of `fixed_batch`, and undoes
 * both.
 */
internal class VariantRunner(
    private val model: LoadedModel,
    override val variant: VariantEntry,
    val inputs: List<TensorSpec>,
    private val outputs: List<TensorSpec>,
) : Runner {
    override val label: String get() = model.label
    override val delegation: List<String> get() = model.delegation

    override fun run(feeds: Map<String, Tensor>): Map<String, Tensor> {
        checkNames(feeds)
        val sizes = checkedSizes(feeds)
        val padded = sizes.mapValues { (name, size) -> fitting(name, size) }
        val filled = inputs.associate { spec ->
            val shape = spec.shape.map { if (it is Dim.Named) padded.getValue(it.name) else (it as Dim.Fixed).size }
            spec.name to reshapedTo(feeds.getValue(spec.name), shape, spec.padValue)
        }
        val rows = sizes[BATCH]
        val parts = variant.fixedBatch
        val found =
            if (rows == null || parts == null || rows == parts) model.run(filled) else inParts(filled, rows, parts)
        return outputs.associate { it.name to finished(it, found, sizes) }
    }

    private fun checkNames(feeds: Map<String, Tensor>) {
        val names = inputs.map { it.name }
        val missing = names.filter { it !in feeds }
        val unknown = feeds.keys - names.toSet()
        if (missing.isEmpty() && unknown.isEmpty()) return
        throw InputError(
            "variant '${variant.name}' takes inputs ${names.joinToString()}; missing: ${missing.joinToString()}; " +
                "unknown: ${unknown.joinToString()}"
        )
    }

    /** The size of each named dimension, the same in every input. */
    private fun checkedSizes(feeds: Map<String, Tensor>): Map<String, Int> {
        val sizes = HashMap<String, Int>()
        for (spec in inputs) {
            val tensor = feeds.getValue(spec.name)
            fun refuse(): Nothing =
                throw InputError(
                    "input '${spec.name}': expected ${spec.dtype.text} ${spec.shape}, got $tensor; sizes so far: $sizes"
                )
            if (tensor.dtype != spec.dtype || tensor.shape.size != spec.shape.size) refuse()
            spec.shape.forEachIndexed { axis, dim ->
                val size = tensor.shape[axis]
                val expected = if (dim is Dim.Named) sizes.getOrPut(dim.name) { size } else (dim as Dim.Fixed).size
                if (size != expected || size == 0) refuse()
            }
        }
        return sizes
    }

    /** The smallest size that the file has of a dimension and that is large enough. */
    private fun fitting(name: String, size: Int): Int {
        val lengths = variant.lengths[name] ?: return size
        return lengths.firstOrNull { it >= size } ?: throw InputError(
            "$name length $size is longer than variant '${variant.name}' takes: it was made for lengths " +
                "${lengths.joinToString()}. Cut the input, or compile with longer ones"
        )
    }

    private fun inParts(feeds: Map<String, Tensor>, rows: Int, size: Int): Map<String, Tensor> {
        val parts = (0 until rows step size).map { start ->
            // The last part is filled up with copies of its last row: real values, thrown away afterwards.
            val indices = (start until start + size).map { minOf(it, rows - 1) }
            model.run(inputs.associate { spec ->
                val axis = spec.axisOf(BATCH)
                val tensor = feeds.getValue(spec.name)
                spec.name to if (axis == null) tensor else take(tensor, axis, indices)
            })
        }
        return outputs.associate { spec ->
            val axis = spec.axisOf(BATCH)
            if (axis == null && parts.size > 1) {
                throw EngineError(
                    "variant '${variant.name}': output '${spec.name}' has no '$BATCH': at most $size rows can be run"
                )
            }
            val found = parts.map { present(spec, it) }
            if (axis != null && found.any { it.shape.size <= axis }) throw unlike(spec, found[0])
            spec.name to if (axis == null) found[0] else concatenated(found, axis)
        }
    }

    private fun present(spec: TensorSpec, found: Map<String, Tensor>): Tensor = found[spec.name] ?: throw EngineError(
        "variant '${variant.name}' on $label: output '${spec.name}' is missing: the file gives " +
            "${found.keys.joinToString()}"
    )

    /** One output without padding, in the manifest's dtype, checked against the manifest. */
    private fun finished(spec: TensorSpec, found: Map<String, Tensor>, sizes: Map<String, Int>): Tensor {
        val tensor = present(spec, found)
        if (tensor.shape.size != spec.shape.size) throw unlike(spec, tensor)
        val shape = spec.shape.mapIndexed { axis, dim ->
            val expected = if (dim is Dim.Named) sizes[dim.name] else (dim as Dim.Fixed).size
            val isPadded = dim is Dim.Named && (dim.name in variant.lengths || dim.name == BATCH)
            val size = tensor.shape[axis]
            if (expected != null && size != expected && !(isPadded && size > expected)) throw unlike(spec, tensor)
            expected ?: size
        }
        return reshapedTo(tensor, shape).converted(spec.dtype)
    }

    private fun unlike(spec: TensorSpec, tensor: Tensor) = EngineError(
        "variant '${variant.name}' on $label: output '${spec.name}': the manifest says ${spec.shape}, got " +
            "${tensor.shape}"
    )

    override fun close() = model.close()
}
