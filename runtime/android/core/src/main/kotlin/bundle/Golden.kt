package edgeformer.runtime.bundle

import edgeformer.runtime.DType
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Tensor
import java.nio.ByteBuffer

internal const val GOLDEN_NAME = "golden.json"
private const val DATA_NAME = "golden.bin"
private const val MAX_BYTES = 8 shl 20 // of each of the two
private const val MAX_ROWS = 64
private const val MAX_ARRAY_DIMS = 8

/** What a row was made of, so that a reader can check its own preprocessing. */
internal class GoldenText(val text: String, val second: String?, val prompt: String?)

/** A variant's outputs and predictions (JSON data, null for rows without a text), one a row. */
internal class GoldenVariant(
    val outputs: List<Map<String, Tensor>>,
    val similarityMin: Double,
    val executedBy: String,
    val predictions: List<Map<String, Any?>?>,
)

/** golden.json and golden.bin: rows of inputs, the texts that some were made of, and what each variant answered. */
internal class Golden(
    val rows: List<Map<String, Tensor>>,
    val texts: List<GoldenText?>,
    val variants: Map<String, GoldenVariant>,
)

private fun refused(problem: String): Nothing =
    throw RuntimeBundleError(
        if (problem.startsWith(GOLDEN_NAME)) problem else "$GOLDEN_NAME: $problem", ErrorCode.GOLDEN
    )

/**
 * The golden rows of an open bundle; null for one without. Raises RuntimeBundleError, code `golden` where they don't
 * fit.
 */
internal fun readGolden(bundle: Bundle): Golden? {
    val paths = bundle.manifest.files.map { it.path }
    if (GOLDEN_NAME !in paths) return null
    if (DATA_NAME !in paths) refused("has no $DATA_NAME beside it")
    return parseGolden(bundle.read(GOLDEN_NAME), bundle.read(DATA_NAME), bundle.manifest)
}

/** The same, of the contents of the two files. */
internal fun parseGolden(content: ByteArray, data: ByteArray, manifest: Manifest): Golden {
    if (data.size > MAX_BYTES) refused("$DATA_NAME has ${data.size} bytes: expected at most $MAX_BYTES")
    try {
        return GoldenReader(data, manifest).read(readJson(content, GOLDEN_NAME, MAX_BYTES))
    } catch (error: RuntimeBundleError) {
        refused(error.message.orEmpty())
    }
}

private class GoldenReader(private val data: ByteArray, private val manifest: Manifest) {
    fun read(value: Any?): Golden {
        val fields = Fields(value, "$GOLDEN_NAME: ")
        fields.take("version", anInteger(2, 2))
        val listed = fields.take("rows", aListOf(anObject))
        if (listed.size !in 1..MAX_ROWS) refused("${listed.size} rows: expected 1 to $MAX_ROWS")
        val texts = ArrayList<GoldenText?>()
        val rows = listed.mapIndexed { index, item ->
            val where = "$GOLDEN_NAME: rows[$index]"
            val row = Fields(item, where)
            texts += row.take("text", orNull(::text), null)
            arrays(row.take("inputs", anObject), manifest.inputs, "$where.inputs").also { row.finish() }
        }
        val skipped = manifest.skipped("variant").map { it.name }
        val variants = LinkedHashMap<String, GoldenVariant>()
        for ((name, item) in fields.take("variants", anObject)) {
            if (name in skipped) continue
            val entry = manifest.variants.firstOrNull { it.name == name }
                ?: refused("variant '${name.take(80)}' is not in the manifest")
            val outputs = entry.graphs[MAIN]?.outputs ?: manifest.outputs
            variants[name] = variant(item, outputs, rows.size, "$GOLDEN_NAME: variants.$name")
        }
        fields.finish()
        return Golden(rows, texts, variants)
    }

    private fun variant(value: Any?, outputs: List<TensorSpec>, rows: Int, where: String): GoldenVariant {
        val fields = Fields(value, where)
        val listed = fields.take("outputs", aListOf(anObject))
        val predictions = fields.take("predictions", aListOf(orNull(anObject)), List(rows) { null })
        if (listed.size != rows || predictions.size != rows) {
            refused("$where: outputs and predictions of ${listed.size} and ${predictions.size} rows, expected $rows")
        }
        val needed = fields.take("similarity_min", aNumber)
        if (!(needed > 0 && needed < 1)) refused("$where.similarity_min $needed: expected 0 to 1")
        val found = GoldenVariant(
            listed.mapIndexed { index, item -> arrays(item, outputs, "$where.outputs[$index]") },
            needed,
            fields.take("executed_by", aString).take(500),
            predictions,
        )
        fields.finish()
        return found
    }

    private fun text(value: Any?, where: String): GoldenText {
        val fields = Fields(value, where)
        val text = GoldenText(
            fields.take("text", aString),
            fields.take("second", orNull(aString), null),
            fields.take("prompt", orNull(aString), null),
        )
        fields.finish()
        return text
    }

    private fun arrays(value: Any?, specs: List<TensorSpec>, where: String): Map<String, Tensor> {
        val fields = Fields(value, where)
        val row = specs.associate { it.name to array(fields.take(it.name, anObject), below(where, it.name)) }
        fields.finish()
        return row
    }

    private fun array(value: Any?, where: String): Tensor {
        val fields = Fields(value, where)
        val called = fields.take("dtype", aName)
        val dtype = DType.of(called)
            ?: wrong("$where.dtype", "one of ${DType.values().joinToString { it.text }}", called)
        val shape = fields.take("shape", aListOf(anInt(1, MAX_BYTES)))
        val offset = fields.take("offset", anInt(0, MAX_BYTES))
        fields.finish()
        if (shape.size > MAX_ARRAY_DIMS) wrong("$where.shape", "up to $MAX_ARRAY_DIMS sizes", shape)
        var bytes = dtype.sizeBytes.toLong()
        for (size in shape) bytes = minOf(bytes * size, 2L * MAX_BYTES)
        if (offset + bytes > data.size) {
            refused("$where: bytes $offset to ${offset + bytes}: $DATA_NAME has ${data.size}")
        }
        val buffer = ByteBuffer.allocateDirect(bytes.toInt())
        buffer.put(data, offset, bytes.toInt()).flip()
        val tensor = Tensor(dtype, shape, buffer)
        if (dtype.isFloat && tensor.toDoubles().any { !it.isFinite() }) {
            refused("$where: holds numbers that aren't finite")
        }
        return tensor
    }
}
