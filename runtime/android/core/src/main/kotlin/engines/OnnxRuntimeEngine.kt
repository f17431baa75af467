package edgeformer.runtime.engines

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import java.io.File
import java.nio.ByteBuffer

private const val NAME = "onnxruntime"

private val TYPES = mapOf(
    DType.BOOL to OnnxJavaType.BOOL,
    DType.INT8 to OnnxJavaType.INT8,
    DType.UINT8 to OnnxJavaType.UINT8,
    DType.INT16 to OnnxJavaType.INT16,
    DType.INT32 to OnnxJavaType.INT32,
    DType.INT64 to OnnxJavaType.INT64,
    DType.FLOAT16 to OnnxJavaType.FLOAT16,
    DType.FLOAT32 to OnnxJavaType.FLOAT,
    DType.FLOAT64 to OnnxJavaType.DOUBLE,
)

/**
 * ONNX Runtime on the CPU by its Java API, the same classes in Android's AAR (onnxruntime-android) and the JVM's jar.
 */
class OnnxRuntimeEngine : Engine {
    override val name: String get() = NAME

    override fun availability(variant: VariantEntry): Availability {
        if (variant.engine != NAME || variant.format != "onnx") {
            return Availability(NAME, null, "it is made for ${variant.engine}, which $NAME doesn't run here")
        }
        if (variant.enginePackages.isNotEmpty() && NAME !in variant.enginePackages) {
            return Availability(NAME, null, "it gives right results only with ${variant.enginePackages.joinToString()}")
        }
        val version = try {
            OrtEnvironment.getEnvironment().version
        } catch (error: LinkageError) { // no class, or no library beside it
            return Availability(NAME, null, "ONNX Runtime isn't in this app ($error): add onnxruntime-android to it")
        }
        return Availability(NAME, version, versionProblem(NAME, version, variant.minEngineVersion))
    }

    override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel {
        val environment = OrtEnvironment.getEnvironment()
        try {
            OrtSession.SessionOptions().use { options ->
                options.setIntraOpNumThreads(threads)
                options.setInterOpNumThreads(1)
                options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT)
                options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
                // Spinning threads keep a core busy after each run, which costs energy.
                options.addConfigEntry("session.force_spinning_stop", "1")
                return OnnxModel(environment, environment.createSession(file.path, options))
            }
        } catch (error: OrtException) {
            throw EngineError(
                "variant '${variant.name}': $NAME ${environment.version} can't load ${variant.path}: ${error.message}",
                error,
            )
        }
    }
}

private class OnnxModel(private val environment: OrtEnvironment, private val session: OrtSession) : LoadedModel {
    override val label = "$NAME ${environment.version} (CPUExecutionProvider)"
    override val delegation: List<String> get() = emptyList()

    // An exporter may leave out an input that the graph never uses.
    private val inputs = session.inputNames

    override fun run(feeds: Map<String, Tensor>): Map<String, Tensor> {
        val given = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, tensor) in feeds) if (name in inputs) given[name] = onnxTensor(tensor)
            session.run(given).use { results ->
                return results.associate { (name, value) ->
                    val tensor = value as? OnnxTensor ?: throw EngineError("$label: output '$name' is no tensor")
                    name to tensorOf(name, tensor)
                }
            }
        } catch (error: OrtException) {
            throw EngineError("$label: ${error.message}", error)
        } finally {
            for (tensor in given.values) tensor.close()
        }
    }

    private fun onnxTensor(tensor: Tensor): OnnxTensor {
        val shape = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }
        return OnnxTensor.createTensor(environment, tensor.view(), shape, TYPES.getValue(tensor.dtype))
    }

    private fun tensorOf(name: String, value: OnnxTensor): Tensor {
        val info: TensorInfo = value.info
        val dtype = TYPES.entries.firstOrNull { it.value == info.type }?.key
            ?: throw EngineError("$label: output '$name' is of ${info.type}, which the runtime has no tensors for")
        val bytes = value.byteBuffer
        bytes.rewind()
        val copy = ByteBuffer.allocateDirect(bytes.limit())
        copy.put(bytes).flip()
        return Tensor(dtype, info.shape.map { it.toInt() }, copy)
    }

    private var isClosed = false

    override fun close() {
        if (!isClosed) session.close()
        isClosed = true
    }
}
