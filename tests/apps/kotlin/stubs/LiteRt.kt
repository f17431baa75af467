/**
 * What the LiteRT engine calls of com.google.ai.edge.litert, to compile against where Google's repository can't be
 * reached: names, parameters and types of releases 2.1 to 2.3. Nothing here is run, and nothing of it goes into the
 * AAR.
 */
package com.google.ai.edge.litert

class LiteRtException : Exception()

enum class Accelerator { NONE, CPU, GPU, NPU }

abstract class JniHandle : AutoCloseable {
    override fun close(): Unit = throw UnsupportedOperationException("a stub to compile against")
}

class TensorBuffer private constructor() : JniHandle() {
    fun writeInt(data: IntArray): Unit = throw UnsupportedOperationException("$data")

    fun writeFloat(data: FloatArray): Unit = throw UnsupportedOperationException("$data")

    fun writeInt8(data: ByteArray): Unit = throw UnsupportedOperationException("$data")

    fun writeBoolean(data: BooleanArray): Unit = throw UnsupportedOperationException("$data")

    fun writeLong(data: LongArray): Unit = throw UnsupportedOperationException("$data")

    fun readInt(): IntArray = throw UnsupportedOperationException()

    fun readFloat(): FloatArray = throw UnsupportedOperationException()

    fun readInt8(): ByteArray = throw UnsupportedOperationException()

    fun readBoolean(): BooleanArray = throw UnsupportedOperationException()

    fun readLong(): LongArray = throw UnsupportedOperationException()
}

class CompiledModel private constructor() : JniHandle() {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String = ""): TensorBuffer =
        throw UnsupportedOperationException("$inputName $signature")

    fun createOutputBuffer(outputName: String, signature: String = ""): TensorBuffer =
        throw UnsupportedOperationException("$outputName $signature")

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String = ""): Unit =
        throw UnsupportedOperationException("$inputs $outputs $signature")

    companion object {
        @JvmStatic
        fun create(filePath: String, options: Options): CompiledModel =
            throw UnsupportedOperationException("$filePath $options")
    }
}
