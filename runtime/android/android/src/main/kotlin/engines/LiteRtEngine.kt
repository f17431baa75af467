package edgeformer.runtime.android.engines

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.Availability
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.LoadedModel
import edgeformer.runtime.engines.versionProblem
import java.io.File

private const val NAME = "litert"
private const val PACKAGE = "ai_edge_litert" // as bundles call what is the same library here
private val TYPES = setOf(DType.FLOAT32, DType.INT32, DType.INT64, DType.INT8, DType.BOOL)

/**
 * LiteRT by its CompiledModel API (com.google.ai.edge.litert:litert, Android 7.0 or newer). [version] is that of the
 * app's dependency, "2.1.5": the library doesn't tell it. On an [accelerator] other than the CPU golden rows decide, as
 * everywhere, whether the variant is used.
 *
 * Never run on a device; tests run it on a JVM, with LiteRT's C library behind the same API.
 */
class LiteRtEngine(private val version: String, private val accelerator: Accelerator = Accelerator.CPU) : Engine {
    override val name: String get() = NAME

    override fun availability(variant: VariantEntry): Availability {
        fun no(reason: String) = Availability(NAME, null, reason)
        if (variant.engine != NAME || variant.format != "tflite") {
            return no("it is made for ${variant.engine}, which $NAME doesn't run")
        }
        if (variant.enginePackages.isNotEmpty() && PACKAGE !in variant.enginePackages) {
            return no("it gives right results only with ${variant.enginePackages.joinToString()}")
        }
        try {
            Class.forName("com.google.ai.edge.litert.CompiledModel") // loads its native library
        } catch (_: ClassNotFoundException) {
            return no("LiteRT isn't in this app: add com.google.ai.edge.litert:litert to it")
        } catch (error: LinkageError) {
            return no("LiteRT's native library doesn't load here ($error): is it built for this device's processor?")
        }
        return Availability(NAME, version, versionProblem(NAME, version, variant.minEngineVersion), accelerator.name)
    }

    override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel {
        val signatures = tfliteSignatures(file)
        if (signatures.isEmpty()) {
            throw EngineError("variant '${variant.name}': ${file.name} has no signature: compile the bundle again")
        }
        val options = CompiledModel.Options(accelerator)
        if (accelerator == Accelerator.CPU) options.cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
        try {
            val model = CompiledModel.create(file.path, options)
            return LiteRtModel(model, signatures, "$NAME $version (${accelerator.name})")
        } catch (error: LiteRtException) {
            val problem = "$NAME $version can't load ${variant.path}: ${error.message}"
            throw EngineError("variant '${variant.name}': $problem", error)
        }
    }
}

/** One inference at a time. Buffers are made once a signature, in which LiteRT wants its inputs and outputs. */
private class LiteRtModel(
    private val model: CompiledModel,
    private val signatures: List<TfliteSignature>,
    override val label: String,
) : LoadedModel {
    private class Buffers(val inputs: Map<String, TensorBuffer>, val outputs: Map<String, TensorBuffer>)

    override val delegation: List<String> get() = listOf("the API doesn't tell which operators ran where")
    private val buffers = HashMap<String, Buffers>()
    private var isClosed = false

    @Synchronized
    override fun run(feeds: Map<String, Tensor>): Map<String, Tensor> {
        if (isClosed) throw EngineError("$label: the model is closed")
        val signature = matching(feeds.mapValues { it.value.shape })
        try {
            val own = buffers.getOrPut(signature.key) { buffersOf(signature) }
            for (input in signature.inputs) {
                write(own.inputs.getValue(input.name), feeds.getValue(input.name).converted(input.dtype))
            }
            model.run(own.inputs, own.outputs, signature.key)
            return signature.outputs.associate { it.name to read(own.outputs.getValue(it.name), it) }
        } catch (error: LiteRtException) {
            throw EngineError("$label: ${error.message}", error)
        }
    }

    private fun matching(shapes: Map<String, List<Int>>): TfliteSignature {
        signatures.firstOrNull { it.takes(shapes) }?.let { return it }
        val has = signatures.joinToString { "${it.key} ${it.inputs}" }
        throw EngineError("$label: no signature takes $shapes: the file has $has")
    }

    private fun buffersOf(signature: TfliteSignature): Buffers {
        (signature.inputs + signature.outputs).firstOrNull { it.dtype !in TYPES || -1 in it.shape }?.let {
            val expected = "fixed sizes and one of ${TYPES.joinToString { type -> type.text }}"
            throw EngineError("$label: '${it.name}' is ${it.dtype.text} ${it.shape}: expected $expected")
        }
        return Buffers(
            signature.inputs.associate { it.name to model.createInputBuffer(it.name, signature.key) },
            signature.outputs.associate { it.name to model.createOutputBuffer(it.name, signature.key) },
        )
    }

    @Synchronized
    override fun close() {
        if (isClosed) return
        isClosed = true
        for (own in buffers.values) for (buffer in own.inputs.values + own.outputs.values) buffer.close()
        model.close()
    }
}

private fun write(buffer: TensorBuffer, tensor: Tensor) {
    when (tensor.dtype) {
        DType.FLOAT32 -> buffer.writeFloat(FloatArray(tensor.size).also { tensor.bytes.asFloatBuffer().get(it) })
        DType.INT32 -> buffer.writeInt(IntArray(tensor.size).also { tensor.bytes.asIntBuffer().get(it) })
        DType.INT64 -> buffer.writeLong(LongArray(tensor.size).also { tensor.bytes.asLongBuffer().get(it) })
        DType.INT8 -> buffer.writeInt8(ByteArray(tensor.size) { tensor.bytes.get(it) })
        else -> buffer.writeBoolean(BooleanArray(tensor.size) { tensor.bytes.get(it).toInt() != 0 })
    }
}

private fun read(buffer: TensorBuffer, output: TfliteTensor): Tensor {
    val tensor = Tensor.zeros(output.dtype, output.shape)
    fun checked(count: Int) {
        if (count == tensor.size) return
        throw EngineError("output '${output.name}': expected ${tensor.size} values, got $count")
    }
    when (output.dtype) {
        DType.FLOAT32 -> tensor.bytes.asFloatBuffer().put(buffer.readFloat().also { checked(it.size) })
        DType.INT32 -> tensor.bytes.asIntBuffer().put(buffer.readInt().also { checked(it.size) })
        DType.INT64 -> tensor.bytes.asLongBuffer().put(buffer.readLong().also { checked(it.size) })
        DType.INT8 -> tensor.bytes.duplicate().put(buffer.readInt8().also { checked(it.size) })
        else -> {
            val values = buffer.readBoolean().also { checked(it.size) }
            for (index in values.indices) tensor.bytes.put(index, if (values[index]) 1 else 0)
        }
    }
    return tensor
}
