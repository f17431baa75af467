package edgeformer.runtime.bundle

import edgeformer.runtime.DType
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.audio.readAudioPreprocess
import edgeformer.runtime.image.readImagePreprocess
import edgeformer.runtime.text.readTextPreprocess
import java.math.BigInteger
import java.security.MessageDigest

internal const val MANIFEST_NAME = "manifest.json"
internal const val MAX_LENGTH = 1 shl 24 // of a named dimension: tokens, samples, frames, pixels
private const val DOCUMENT = "manifest.json: "
private const val MAX_FILES = 10_000
private const val MAX_BUNDLE_BYTES = 16L shl 30
private const val MAX_READ_BYTES = 256L shl 20 // of a file that preprocessing reads whole
private const val MAX_SIZE = Int.MAX_VALUE
private const val MAX_DIMS = 32
private val FORMATS = arrayOf("onnx", "tensorrt", "tflite", "coreml")
private val ROLES = arrayOf("tokens", "mask", "token_types", "pixels", "samples", "features", "state", "cross")

/** Every kind of preprocessing that this runtime does, with what reads its entry of the manifest. */
private val PREPROCESS: Map<String, Read<Preprocess>> = mapOf(
    "text" to ::readTextPreprocess,
    "image" to ::readImagePreprocess,
    "audio" to ::readAudioPreprocess,
)

/** Parse the bytes of manifest.json; raises RuntimeBundleError, and nothing else, where it is wrong. */
internal fun readManifest(content: ByteArray): Manifest {
    val value = readJson(content)
    val manifest = manifestOf(value) // first: what it refuses, it names
    checkChecksum(content, anObject(value, DOCUMENT)["checksum"] as String?)
    return manifest
}

private const val CHECKSUM_BEFORE = "{\n \"checksum\": \""
private const val CHECKSUM_AFTER = "\",\n"
private const val HASHED_FROM = 83

private fun checkChecksum(content: ByteArray, stated: String?) {
    if (stated == null) return // written by hand
    val found = MessageDigest.getInstance("SHA-256").run {
        update(content, minOf(HASHED_FROM, content.size), maxOf(0, content.size - HASHED_FROM))
        hex(digest())
    }
    val head = String(content, 0, minOf(HASHED_FROM, content.size), Charsets.ISO_8859_1)
    if (head != CHECKSUM_BEFORE + stated + CHECKSUM_AFTER || stated != found) {
        throw RuntimeBundleError(
            "manifest.json: expected the checksum $stated, which isn't that of its text: the file is damaged or " +
                "altered, get the bundle again. If you changed it on purpose, remove its key 'checksum'",
            ErrorCode.CHECKSUM,
        )
    }
}

private fun manifestOf(value: Any?): Manifest {
    val fields = Fields(value, DOCUMENT)
    checkFormatVersion(fields)
    val signature = Fields(fields.take("signature", anObject), DOCUMENT + "signature")
    val skipped = ArrayList<Skipped>()
    val task = readTask(fields.take("task", anObject), DOCUMENT + "task", skipped)
    val variants = known(
        fields.take("variants", aListOf(anObject)), "variants", "variant", "name", ::readVariant, skipped,
    )
    val preprocess = known(
        fields.take("preprocess", aListOf(anObject), emptyList()),
        "preprocess", "preprocess", "kind", ::readPreprocess, skipped,
    )
    val manifest = Manifest(
        task = task,
        variants = variants,
        preprocess = preprocess,
        name = fields.take("name", aName),
        inputs = signature.take("inputs", aListOf(::readTensor)),
        outputs = signature.take("outputs", aListOf(::readTensor)),
        files = fields.take("files", aListOf(::readFile)),
        targets = fields.take("targets", aListOf(aString), emptyList()),
        recipe = fields.take("recipe", anObject, emptyMap()),
        sources = fields.take("sources", anObject, emptyMap()),
        metrics = fields.take("metrics", anObject, emptyMap()),
        producer = fields.take("producer", aString, ""),
        skipped = skipped,
    )
    signature.finish()
    fields.take("checksum", orNull(aSha256), null)
    fields.finish()
    checkWhole(manifest)
    return manifest
}

/** A positive integer, also one beyond 63 bits. */
private val aVersion: Read<BigInteger> = { value, where ->
    if (value is BigInteger && value.signum() > 0) value else BigInteger.valueOf(anInteger(1)(value, where))
}

private fun checkFormatVersion(fields: Fields) {
    if (!fields.has("format_version")) {
        refuse("manifest.json: key 'format_version' is missing: this is not an edgeformer bundle")
    }
    val version = fields.take("format_version", aVersion)
    val read = BigInteger.valueOf(FORMAT_VERSION.toLong())
    if (version == read) return
    val advice = if (version > read) "update the runtime" else "compile the model again"
    throw RuntimeBundleError("format $version, this runtime reads $FORMAT_VERSION: $advice", ErrorCode.FORMAT_VERSION)
}

/** Those of [items] that [read] knows; the others go to [skipped] with the reason. [key] names an item. */
private fun <T> known(
    items: List<Map<String, Any?>>,
    where: String,
    part: String,
    key: String,
    read: Read<T>,
    skipped: MutableList<Skipped>,
): List<T> {
    val found = ArrayList<T>()
    items.forEachIndexed { index, item ->
        val place = "$DOCUMENT$where[$index]"
        val name = Fields(item, place).take(key, aName)
        try {
            found += read(item, place)
        } catch (error: UnknownPartError) {
            skipped += Skipped(part, name, error.reason)
        }
    }
    return found
}

private fun readPreprocess(value: Any?, where: String): Preprocess {
    val kind = Fields(value, where).take("kind", aName)
    val read = PREPROCESS[kind] ?: throw UnknownPartError(
        where, "kind '${kind.take(80)}' is none that this runtime knows (${PREPROCESS.keys.joinToString()})"
    )
    return read(value, where)
}

private fun readTask(value: Any?, where: String, skipped: MutableList<Skipped>): TaskSpec {
    val kind = Fields(value, where).take("kind", aName)
    return try {
        readTaskSpec(value, where)
    } catch (error: UnknownPartError) {
        skipped += Skipped("task", kind, error.reason)
        TaskSpec(kind)
    }
}

private fun readTaskSpec(value: Any?, where: String): TaskSpec {
    val fields = Fields(value, where)
    val numbers = Fields(fields.take("numbers", anObject, emptyMap()), "$where.numbers")
    val task = TaskSpec(
        kind = fields.take("kind", aName),
        labels = fields.take("labels", aListOf(aString), emptyList()),
        multiLabel = fields.take("multi_label", aBoolean, false),
        regression = fields.take("regression", aBoolean, false),
        activation = fields.take("activation", orNull(oneOf("sigmoid", "softmax", "tanh")), null),
        similarity = fields.take("similarity", orNull(oneOf("cosine", "dot", "euclidean", "manhattan")), null),
        threshold = numbers.take("threshold", aNumber, 0.5),
        longestAnswer = numbers.take("longest_answer", anInt(1, MAX_LENGTH), 30),
        scale = numbers.take("scale", aNumber, 1.0),
        bias = numbers.take("bias", aNumber, 0.0),
        hypothesisTemplate = fields.take("hypothesis_template", orNull(::readTemplate), null),
        labelVectors = fields.take("label_vectors", orNull(aPath), null),
    )
    numbers.finish()
    fields.finish()
    if (task.activation != null && task.activation == (if (task.regression) "softmax" else "tanh")) {
        refuse(
            "$where.activation '${task.activation}' is none for " +
                "${if (task.regression) "one number" else "several labels"}"
        )
    }
    return task
}

private fun readTemplate(value: Any?, where: String): String {
    if (value !is String || "{}" !in value) wrong(where, "a text with {} where the label goes", value)
    return value
}

private fun readTensor(value: Any?, where: String): TensorSpec {
    val fields = Fields(value, where)
    val spec = TensorSpec(
        name = fields.take("name", aName),
        dtype = DType.of(fields.take("dtype", oneOf(*DType.values().map { it.text }.toTypedArray())))!!,
        shape = fields.take("shape", aListOf(::readDim)),
        padValue = fields.take("pad_value", aNumber, 0.0),
        role = fields.take("role", orNull(oneOf(*ROLES)), null),
    )
    fields.finish()
    if (spec.shape.count { it == Dim.Named(BATCH) } > 1) refuse("$where.shape: '$BATCH' occurs twice")
    if (spec.shape.size > MAX_DIMS) refuse("$where.shape has ${spec.shape.size} dimensions: expected at most $MAX_DIMS")
    var elements = 1L
    for (dim in spec.shape) {
        if (dim is Dim.Fixed) elements *= dim.size
        if (elements > MAX_SIZE) refuse("$where.shape has more than $MAX_SIZE elements")
    }
    return spec
}

private fun readDim(value: Any?, where: String): Dim =
    if (value is String) Dim.Named(aName(value, where)) else Dim.Fixed(anInt(1, MAX_SIZE)(value, where))

private fun readFile(value: Any?, where: String): FileEntry {
    val fields = Fields(value, where)
    val entry =
        FileEntry(fields.take("path", aPath), fields.take("bytes", anInteger(0)), fields.take("sha256", aSha256))
    fields.finish()
    return entry
}

private fun readVariant(value: Any?, where: String): VariantEntry {
    val fields = Fields(value, where)
    val format = fields.take("format", aName)
    if (format !in FORMATS) {
        throw UnknownPartError(
            where, "format '${format.take(80)}' is none that this runtime knows (${FORMATS.joinToString()})"
        )
    }
    val entry = VariantEntry(
        name = fields.take("name", aName),
        format = format,
        engine = fields.take("engine", aName),
        graphs = fields.take("graphs", aMapOf(::readGraph)),
        sizeBytes = fields.take("size_bytes", anInteger(0)),
        lengths = fields.take("lengths", aMapOf(::readAscending), emptyMap()),
        fixedBatch = fields.take("fixed_batch", orNull(anInt(1, MAX_SIZE)), null),
        weightFormats = fields.take("weight_formats", aMapOf(anInteger(0)), emptyMap()),
        enginePackages = fields.take("engine_packages", aListOf(aName), emptyList()),
        minEngineVersion = fields.take("min_engine_version", orNull(::readVersion), null),
        verification = fields.take("verification", orNull(::readVerification), null),
    )
    fields.take("targets", aListOf(aString), emptyList())
    fields.take("settings", anObject, emptyMap())
    checkOtherNeeds(fields)
    fields.finish()
    if (entry.graphs.isEmpty()) refuse("$where.graphs: expected at least one graph, got none")
    if (BATCH in entry.lengths) refuse("$where.lengths: '$BATCH' is what fixed_batch is for")
    return entry
}

private fun readGraph(value: Any?, where: String): Graph {
    val fields = Fields(value, where)
    val graph = Graph(
        path = fields.take("path", aPath),
        inputs = fields.take("inputs", orNull(aListOf(::readTensor)), null),
        outputs = fields.take("outputs", orNull(aListOf(::readTensor)), null),
        hasStates = fields.take("states", aListOf(::checkState), emptyList()).isNotEmpty(),
    )
    fields.finish()
    return graph
}

private fun checkState(value: Any?, where: String) {
    val fields = Fields(value, where)
    fields.take("input", aName)
    fields.take("output", aName)
    fields.take("axis", anInteger(0))
    fields.take("update", oneOf("append", "slot", "implicit"))
    fields.take("longest", orNull(anInt(1, MAX_LENGTH)), null)
    fields.finish()
}

private fun readAscending(value: Any?, where: String): List<Int> {
    val lengths = aListOf(anInt(1, MAX_LENGTH))(value, where)
    if (lengths.isEmpty() || lengths != lengths.toSortedSet().toList()) {
        wrong(where, "ascending lengths, each once", value)
    }
    return lengths
}

private val VERSION = Regex("(iOS)?[0-9]{1,9}(\\.[0-9]{1,9}){0,5}")

private fun readVersion(value: Any?, where: String): String {
    if (value !is String || !VERSION.matches(value)) wrong(where, "a version like '1.19' or 'iOS18'", value)
    return value
}

private fun readVerification(value: Any?, where: String): Verification {
    val fields = Fields(value, where)
    for (key in arrayOf("cosine_min", "cosine_mean", "max_abs_error")) fields.take(key, aNumber)
    for (key in arrayOf("similarity_min", "similarity_p01", "agreement", "metric_drop")) {
        fields.take(key, orNull(aNumber), null)
    }
    fields.take("executed_by", aString)
    fields.take("on_device", aBoolean)
    val verification = Verification(
        samples = fields.take("samples", anInteger(0)),
        metricName = fields.take("metric_name", orNull(aString), null),
        metric = fields.take("metric", orNull(aNumber), null),
    )
    fields.finish()
    return verification
}

/** What other engines or compilers need of a variant: checked, and acted on by nothing here. */
private fun checkOtherNeeds(variant: Fields) {
    variant.take("tensorrt", orNull { value, where ->
        val fields = Fields(value, where)
        fields.take("precision", orNull(oneOf("fp16", "fp32")), null)
        fields.take("workspace_bytes", orNull(anInteger(1)), null)
        fields.take("dla_core", orNull(anInteger(0, 1)), null)
        fields.take("profiles", aMapOf { profile, place ->
            val shapes = Fields(profile, place)
            for (key in arrayOf("min", "opt", "max")) shapes.take(key, aListOf(anInteger(Long.MIN_VALUE)))
            shapes.finish()
        }, emptyMap())
        fields.finish()
    }, null)
    variant.take("local_attention", orNull { value, where ->
        val fields = Fields(value, where)
        fields.take("head_dims", aListOf(anInteger(Long.MIN_VALUE)))
        fields.take("dtype", aString)
        fields.take("kernel_version", anInteger(Long.MIN_VALUE))
        fields.finish()
    }, null)
    variant.take("full_attention", orNull { value, where ->
        val fields = Fields(value, where)
        fields.take("below_positions", aListOf(anInteger(1)))
        fields.take("decided_by") { who, place ->
            if (who is String) oneOf("input", "signature")(who, place) else anInteger(1)(who, place).toString()
        }
        fields.finish()
    }, null)
}

/** What one field alone can't show: duplicates, and names that point at each other. */
private fun checkWhole(manifest: Manifest) {
    val variants = manifest.variants.map { it.name } + manifest.skipped("variant").map { it.name }
    if ("auto" in variants) {
        refuse("manifest.json: variants: 'auto' is no name: it asks for the fastest variant. Rename it")
    }
    for ((what, names) in listOf(
        "inputs" to manifest.inputs.map { it.name },
        "outputs" to manifest.outputs.map { it.name },
        "variants" to variants,
        "task.labels" to manifest.task.labels,
    )) {
        val twice = names.groupingBy { it }.eachCount().filterValues { it > 1 }.keys
        if (twice.isNotEmpty()) refuse("manifest.json: $what: '${twice.first()}' occurs more than once")
        if (names.isEmpty() && what != "task.labels") refuse("manifest.json: $what: expected at least one, got none")
    }
    val paths = manifest.files.map { it.path }
    if (paths.size > MAX_FILES) refuse("manifest.json: lists ${paths.size} files: expected at most $MAX_FILES")
    checkDistinct(paths + MANIFEST_NAME + SIGNATURE_NAME, "manifest.json: files")
    var total = 0L
    for (entry in manifest.files) {
        total += minOf(entry.bytes, MAX_BUNDLE_BYTES + 1)
        if (total > MAX_BUNDLE_BYTES) refuse("manifest.json: its files have over $MAX_BUNDLE_BYTES bytes together")
    }
    val places = HashSet<String>()
    for (path in paths) {
        var place = path
        while (place.isNotEmpty() && places.add(place)) place = place.substringBeforeLast('/', "")
    }
    for (variant in manifest.variants) checkVariant(manifest, variant, places)
    checkReadFiles(manifest)
}

private fun checkVariant(manifest: Manifest, variant: VariantEntry, places: Set<String>) {
    for (graph in variant.graphs.values) {
        if (graph.path !in places) {
            refuse("manifest.json: variant '${variant.name}': path '${graph.path}' is not among the files")
        }
    }
    val graphs = variant.graphs.values
    val inputs = graphs.flatMap { it.inputs ?: manifest.inputs }
    if (graphs.none { it.hasStates || it.inputs == null || it.outputs == null }) {
        val outputs = graphs.flatMap { it.outputs.orEmpty() }
        for ((what, whole, parts) in listOf(
            Triple("inputs", manifest.inputs, inputs), Triple("outputs", manifest.outputs, outputs)
        )) {
            if (whole.groupingBy { it }.eachCount() != parts.groupingBy { it }.eachCount()) {
                val names = parts.joinToString { it.name }
                refuse("manifest.json: variant '${variant.name}': its graphs' $what, $names, are not the signature's")
            }
        }
    }
    val dimensions = inputs.flatMap { it.shape }.toSet()
    variant.lengths.keys.firstOrNull { Dim.Named(it) !in dimensions }
        ?.let { refuse("manifest.json: variant '${variant.name}': lengths of '$it', which no input has") }
}

/**
 * Files that are read whole must be there and small enough; label vectors as many as labels, as long as the model's.
 */
private fun checkReadFiles(manifest: Manifest) {
    val sizes = manifest.files.associate { it.path to it.bytes }
    fun size(path: String, what: String): Long {
        val bytes = sizes[path] ?: refuse("manifest.json: $what: '$path' is not among the files")
        if (bytes > MAX_READ_BYTES) refuse("manifest.json: '$path' has $bytes bytes: expected at most $MAX_READ_BYTES")
        return bytes
    }
    for (item in manifest.preprocess) for (path in item.files) size(path, "preprocess ${item.kind}")
    val path = manifest.task.labelVectors ?: return
    val dimensions = (manifest.outputs[0].shape.lastOrNull() as? Dim.Fixed)?.size
    val labels = manifest.task.labels.size
    if (dimensions == null || size(path, "task.label_vectors") != 4L * labels * dimensions) {
        refuse(
            "manifest.json: task.label_vectors: '$path': expected 4 bytes for each of $labels labels x $dimensions " +
                "dimensions"
        )
    }
}
