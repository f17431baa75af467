package com.google.ai.edge.litert

import com.sun.jna.Library
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference

/** LiteRT's C API, what of it one inference takes; each call gives a status, 0 for success. */
@Suppress("FunctionName")
internal interface LiteRtLibrary : Library {
    fun LiteRtCreateEnvironment(options: Int, values: Pointer?, made: PointerByReference): Int
    fun LiteRtCreateModelFromFile(environment: Pointer, path: String, made: PointerByReference): Int
    fun LiteRtCreateOptions(made: PointerByReference): Int
    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int
    fun LiteRtCreateCompiledModel(environment: Pointer, model: Pointer, options: Pointer, made: PointerByReference): Int
    fun LiteRtGetNumModelSignatures(model: Pointer, count: LongByReference): Int
    fun LiteRtGetModelSignature(model: Pointer, index: Long, found: PointerByReference): Int
    fun LiteRtGetSignatureKey(signature: Pointer, found: PointerByReference): Int
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
    fun LiteRtGetTensorBufferSize(buffer: Pointer, bytes: LongByReference): Int
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
