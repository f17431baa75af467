package edgeformer.runtime.test

import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference
import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import edgeformer.runtime.Tensor
import edgeformer.runtime.bundle.VariantEntry
import edgeformer.runtime.engines.Availability
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.LoadedModel
import java.io.File

/** LiteRT's C API, what of it one inference takes; each call gives a status, 0 for success. */
@Suppress("FunctionName")
internal interface LiteRt : Library {
    fun LiteRtCreateEnvironment(options: Int, values: Pointer?, made: PointerByReference): Int
    fun LiteRtCreateModelFromFile(environment: Pointer, path: String, made: PointerByReference): Int
    fun LiteRtCreateOptions(made: PointerByReference): Int
    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int
    fun LiteRtCreateCompiledModel(environment: Pointer, model: Pointer, options: Pointer, made: PointerByReference): Int
    fun LiteRtGetNumModelSignatures(model: Pointer, count: LongByReference): Int
    fun LiteRtGetModelSignature(model: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetNumSignatureInputs(signature: Pointer, count: LongByReference): Int
    fun LiteRtGetNumSignatureOutputs(signature: Pointer, count: LongByReference): Int
    fun LiteRtGetSignatureInputName(signature: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetSignatureOutputName(signature: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetSignatureInputTensorByIndex(signature: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetSignatureOutputTensorByIndex(signature: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetRankedTensorType(tensor: Pointer, type: Pointer): Int
    fun LiteRtGetCompiledModelInputBufferRequirements(
        model: Pointer, signature: Long, index: Long, found: PointerByReference,
    ): Int
    fun LiteRtGetCompiledModelOutputBufferRequirements(
        model: Pointer, signature: Long, index: Long, found: PointerByReference,
    ): Int
    fun LiteRtCreateManagedTensorBufferFromRequirements(
        environment: Pointer, type: Pointer, requirements: Pointer, made: PointerByReference,
    ): Int
    fun LiteRtLockTensorBuffer(buffer: Pointer, memory: PointerByReference, mode: Int): Int
    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int
    fun LiteRtRunCompiledModel(
        model: Pointer, signature: Long, inputs: Long, given: Array<Pointer>, outputs: Long, made: Array<Pointer>,
    ): Int
    fun LiteRtDestroyTensorBuffer(buffer: Pointer)
    fun LiteRtDestroyCompiledModel(model: Pointer)
    fun LiteRtDestroyModel(model: Pointer)
    fun LiteRtDestroyOptions(options: Pointer)
    fun LiteRtDestroyEnvironment(environment: Pointer)
}

private const val CPU = 1
private const val READ = 0
private const val WRITE = 1
private const val TYPE_BYTES = 256L // more than a LiteRtRankedTensorType has
private val TYPES = mapOf(
    1 to DType.FLOAT32, 2 to DType.INT32, 3 to DType.UINT8, 4 to DType.INT64, 6 to DType.BOOL, 7 to DType.INT16,
    9 to DType.INT8, 10 to DType.FLOAT16, 11 to DType.FLOAT64,
)

/** LiteRT on a desktop's JVM: the library of the Python package ai-edge-litert, called by JNA. For tests. */
internal class LiteRtEngine(private val library: String) : Engine {
    override val name get() = "litert"

    override fun availability(variant: VariantEntry): Availability {
        val isMine = variant.engine == name && variant.format == "tflite"
        return Availability(name, "2", if (isMine) null else "it is made for ${variant.engine}")
    }

    override fun load(file: File, variant: VariantEntry, threads: Int): LoadedModel =
        LiteRtModel(Native.load(library, LiteRt::class.java), file)
}

/** One input or output of a signature. */
private class Slot(val name: String, val dtype: DType, val shape: List<Int>, val buffer: Pointer)

private class LiteRtSignature(val index: Long, val inputs: List<Slot>, val outputs: List<Slot>)

private class LiteRtModel(private val api: LiteRt, file: File) : LoadedModel {
    override val label = "LiteRT (CPU)"
    override val delegation: List<String> get() = emptyList()
    private val environment = made("environment") { api.LiteRtCreateEnvironment(0, null, it) }
    private val model = made("model") { api.LiteRtCreateModelFromFile(environment, file.path, it) }
    private val options = made("options") { api.LiteRtCreateOptions(it) }
        .also { check(api.LiteRtSetOptionsHardwareAccelerators(it, CPU), "accelerators") }
    private val compiled = made("compiled model") { api.LiteRtCreateCompiledModel(environment, model, options, it) }
    private val signatures = List(count { api.LiteRtGetNumModelSignatures(model, it) }) { signature(it.toLong()) }
    private var isClosed = false

    private fun check(status: Int, what: String) {
        if (status != 0) throw EngineError("$label: $what: status $status")
    }

    private fun made(what: String, call: (PointerByReference) -> Int): Pointer {
        val reference = PointerByReference()
        check(call(reference), what)
        return reference.value
    }

    private fun count(call: (LongByReference) -> Int): Int =
        LongByReference().also { check(call(it), "count") }.value.toInt()

    private fun signature(index: Long): LiteRtSignature {
        val found = made("signature") { api.LiteRtGetModelSignature(model, index, it) }
        val inputs = List(count { api.LiteRtGetNumSignatureInputs(found, it) }) { place ->
            slot(
                made("name") { api.LiteRtGetSignatureInputName(found, place.toLong(), it) },
                made("tensor") { api.LiteRtGetSignatureInputTensorByIndex(found, place.toLong(), it) },
                made("requirements") {
                    api.LiteRtGetCompiledModelInputBufferRequirements(compiled, index, place.toLong(), it)
                },
            )
        }
        val outputs = List(count { api.LiteRtGetNumSignatureOutputs(found, it) }) { place ->
            slot(
                made("name") { api.LiteRtGetSignatureOutputName(found, place.toLong(), it) },
                made("tensor") { api.LiteRtGetSignatureOutputTensorByIndex(found, place.toLong(), it) },
                made("requirements") {
                    api.LiteRtGetCompiledModelOutputBufferRequirements(compiled, index, place.toLong(), it)
                },
            )
        }
        return LiteRtSignature(index, inputs, outputs)
    }

    private fun slot(name: Pointer, tensor: Pointer, requirements: Pointer): Slot {
        // LiteRtRankedTensorType: the element's type, then 7 bits of rank, then the dimensions
        val type = Memory(TYPE_BYTES)
        check(api.LiteRtGetRankedTensorType(tensor, type), "type")
        val rank = type.getByte(4).toInt() and 0x7f
        val buffer = made("buffer") {
            api.LiteRtCreateManagedTensorBufferFromRequirements(environment, type, requirements, it)
        }
        val dtype = TYPES[type.getInt(0)] ?: throw EngineError("$label: element type ${type.getInt(0)}")
        return Slot(name.getString(0), dtype, List(rank) { type.getInt(8 + 4L * it) }, buffer)
    }

    override fun run(feeds: Map<String, Tensor>): Map<String, Tensor> = synchronized(this) {
        val signature = signatures.firstOrNull { it.inputs.all { slot -> feeds[slot.name]?.shape == slot.shape } }
            ?: throw EngineError("$label: no signature takes $feeds")
        for (slot in signature.inputs) {
            val bytes = feeds.getValue(slot.name).converted(slot.dtype).view()
            locked(slot, WRITE) { it.getByteBuffer(0, bytes.limit().toLong()).put(bytes) }
        }
        val (given, wanted) = signature.inputs to signature.outputs
        val status = api.LiteRtRunCompiledModel(
            compiled, signature.index, given.size.toLong(), Array(given.size) { given[it].buffer },
            wanted.size.toLong(), Array(wanted.size) { wanted[it].buffer },
        )
        check(status, "run")
        wanted.associate { slot ->
            val tensor = Tensor.zeros(slot.dtype, slot.shape)
            locked(slot, READ) { tensor.view().put(it.getByteBuffer(0, tensor.bytes.limit().toLong())) }
            slot.name to tensor
        }
    }

    private fun locked(slot: Slot, mode: Int, use: (Pointer) -> Unit) {
        use(made("lock") { api.LiteRtLockTensorBuffer(slot.buffer, it, mode) })
        check(api.LiteRtUnlockTensorBuffer(slot.buffer), "unlock")
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        for (signature in signatures) for (slot in signature.inputs + signature.outputs) {
            api.LiteRtDestroyTensorBuffer(slot.buffer)
        }
        api.LiteRtDestroyCompiledModel(compiled)
        api.LiteRtDestroyOptions(options)
        api.LiteRtDestroyModel(model)
        api.LiteRtDestroyEnvironment(environment)
    }
}
