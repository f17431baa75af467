/**
 * Google's Kotlin API of LiteRT, as far as the engine calls it: names, parameters and types of releases 2.1 to 2.3,
 * written again, since Google's repository was out of reach. Behind them is the C library of the Python package
 * ai-edge-litert, so that a JVM runs the engine. Nothing of this goes into the AAR.
 */
package com.google.ai.edge.litert

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference
import java.util.concurrent.atomic.AtomicBoolean

private const val READ = 0
private const val WRITE = 1
private const val TYPE_BYTES = 256L // more than a LiteRtRankedTensorType has

internal val API: LiteRtLibrary by lazy {
    Native.load(System.getenv("EDGEFORMER_LITERT_LIBRARY"), LiteRtLibrary::class.java)
}

class LiteRtException(message: String) : Exception(message)

enum class Accelerator(internal val bit: Int) { NONE(0), CPU(1), GPU(2), NPU(4) }

/** Something that the library made; [close] lets go of it, once. */
abstract class JniHandle internal constructor(internal val handle: Pointer, private val destroy: (Pointer) -> Unit) :
    AutoCloseable {
    private val isDestroyed = AtomicBoolean()

    final override fun close() {
        if (isDestroyed.compareAndSet(false, true)) destroy(handle)
    }
}

class TensorBuffer internal constructor(handle: Pointer) : JniHandle(handle, API::LiteRtDestroyTensorBuffer) {
    private val bytes = count { API.LiteRtGetTensorBufferSize(handle, it) }

    fun writeInt(data: IntArray) = write(4L * data.size) { it.write(0, data, 0, data.size) }

    fun writeFloat(data: FloatArray) = write(4L * data.size) { it.write(0, data, 0, data.size) }

    fun writeInt8(data: ByteArray) = write(data.size.toLong()) { it.write(0, data, 0, data.size) }

    fun writeBoolean(data: BooleanArray) = writeInt8(ByteArray(data.size) { if (data[it]) 1 else 0 })

    fun writeLong(data: LongArray) = write(8L * data.size) { it.write(0, data, 0, data.size) }

    fun readInt(): IntArray = locked(READ) { it.getIntArray(0, (bytes / 4).toInt()) }

    fun readFloat(): FloatArray = locked(READ) { it.getFloatArray(0, (bytes / 4).toInt()) }

    fun readInt8(): ByteArray = locked(READ) { it.getByteArray(0, bytes.toInt()) }

    fun readBoolean(): BooleanArray = readInt8().let { found -> BooleanArray(found.size) { found[it].toInt() != 0 } }

    fun readLong(): LongArray = locked(READ) { it.getLongArray(0, (bytes / 8).toInt()) }

    private fun write(size: Long, put: (Pointer) -> Unit) {
        if (size > bytes) throw LiteRtException("$size bytes don't fit a buffer of $bytes")
        locked(WRITE, put)
    }

    private fun <T> locked(mode: Int, use: (Pointer) -> T): T {
        val found = use(made { API.LiteRtLockTensorBuffer(handle, it, mode) })
        checked(API.LiteRtUnlockTensorBuffer(handle))
        return found
    }
}

class CompiledModel private constructor(handle: Pointer, private val environment: Pointer, private val model: Pointer) :
    JniHandle(handle, { compiled ->
        API.LiteRtDestroyCompiledModel(compiled)
        API.LiteRtDestroyModel(model)
        API.LiteRtDestroyEnvironment(environment)
    }) {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    class Options(internal vararg val accelerators: Accelerator) {
        /** Not handed on here: LiteRT's own default runs, one thread. */
        var cpuOptions: CpuOptions? = null
    }

    private class Signature(val index: Long, val handle: Pointer, val inputs: List<String>, val outputs: List<String>)

    private val signatures = List(count { API.LiteRtGetNumModelSignatures(model, it) }.toInt()) { index ->
        val found = made { API.LiteRtGetModelSignature(model, index.toLong(), it) }
        val inputs = count { API.LiteRtGetNumSignatureInputs(found, it) }
        val outputs = count { API.LiteRtGetNumSignatureOutputs(found, it) }
        text { API.LiteRtGetSignatureKey(found, it) } to Signature(
            index.toLong(),
            found,
            (0 until inputs).map { place -> text { API.LiteRtGetSignatureInputName(found, place, it) } },
            (0 until outputs).map { place -> text { API.LiteRtGetSignatureOutputName(found, place, it) } },
        )
    }.toMap()

    fun createInputBuffer(inputName: String, signature: String = ""): TensorBuffer {
        val found = signature(signature)
        val place = place(found.inputs, inputName)
        val tensor = made { API.LiteRtGetSignatureInputTensorByIndex(found.handle, place, it) }
        val needed = made { API.LiteRtGetCompiledModelInputBufferRequirements(handle, found.index, place, it) }
        return buffer(tensor, needed)
    }

    fun createOutputBuffer(outputName: String, signature: String = ""): TensorBuffer {
        val found = signature(signature)
        val place = place(found.outputs, outputName)
        val tensor = made { API.LiteRtGetSignatureOutputTensorByIndex(found.handle, place, it) }
        val needed = made { API.LiteRtGetCompiledModelOutputBufferRequirements(handle, found.index, place, it) }
        return buffer(tensor, needed)
    }

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String = "") {
        val found = signature(signature)
        val given = found.inputs.map { inputs[it]?.handle ?: throw LiteRtException("input $it is missing") }
        val wanted = found.outputs.map { outputs[it]?.handle ?: throw LiteRtException("output $it is missing") }
        val status = API.LiteRtRunCompiledModel(
            handle,
            found.index,
            given.size.toLong(),
            given.toTypedArray(),
            wanted.size.toLong(),
            wanted.toTypedArray(),
        )
        checked(status)
    }

    private fun signature(key: String): Signature = signatures[key] ?: throw LiteRtException("no signature $key")

    private fun place(names: List<String>, name: String): Long =
        names.indexOf(name).toLong().also { if (it < 0) throw LiteRtException("no tensor $name") }

    private fun buffer(tensor: Pointer, requirements: Pointer): TensorBuffer {
        val type = Memory(TYPE_BYTES)
        checked(API.LiteRtGetRankedTensorType(tensor, type))
        return TensorBuffer(
            made { API.LiteRtCreateManagedTensorBufferFromRequirements(environment, type, requirements, it) }
        )
    }

    companion object {
        @JvmStatic
        fun create(filePath: String, options: Options): CompiledModel {
            val environment = made { API.LiteRtCreateEnvironment(0, null, it) }
            val model = made { API.LiteRtCreateModelFromFile(environment, filePath, it) }
            val own = made { API.LiteRtCreateOptions(it) }
            checked(API.LiteRtSetOptionsHardwareAccelerators(own, options.accelerators.sumOf { it.bit }))
            val compiled = made { API.LiteRtCreateCompiledModel(environment, model, own, it) }
            API.LiteRtDestroyOptions(own)
            return CompiledModel(compiled, environment, model)
        }
    }
}

private fun checked(status: Int) {
    if (status != 0) throw LiteRtException("status $status")
}

private fun made(call: (PointerByReference) -> Int): Pointer =
    PointerByReference().also { checked(call(it)) }.value

private fun count(call: (LongByReference) -> Int): Long = LongByReference().also { checked(call(it)) }.value

private fun text(call: (PointerByReference) -> Int): String = made(call).getString(0)
