package edgeformer.runtime

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Types of elements; [text] is the manifest's name. */
enum class DType(val text: String, val sizeBytes: Int, val isFloat: Boolean = false) {
    BOOL("bool", 1),
    INT8("int8", 1),
    UINT8("uint8", 1),
    INT16("int16", 2),
    INT32("int32", 4),
    INT64("int64", 8),
    FLOAT16("float16", 2, true),
    FLOAT32("float32", 4, true),
    FLOAT64("float64", 8, true);

    companion object {
        /** The type called [text]; null for one that there is none of. */
        fun of(text: String): DType? = values().firstOrNull { it.text == text }
    }
}

/**
 * An array: row-major elements in a direct little-endian buffer, which engines read without another copy.
 *
 * [bytes] begins at position 0 and holds exactly the elements of [shape]. Raises InputError where it doesn't.
 */
class Tensor(val dtype: DType, val shape: List<Int>, bytes: ByteBuffer) {
    val bytes: ByteBuffer = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN)

    init {
        if (!bytes.isDirect || bytes.position() != 0 || bytes.limit().toLong() != elements(shape) * dtype.sizeBytes) {
            throw InputError(
                "tensor ${dtype.text} $shape: expected a direct buffer of ${elements(shape) * dtype.sizeBytes} bytes " +
                    "from position 0, got ${bytes.limit() - bytes.position()}"
            )
        }
    }

    /** How many elements it has. */
    val size: Int get() = bytes.limit() / dtype.sizeBytes

    /** Element [index], in row-major order, as a double; an int64 beyond 2^53 is rounded. */
    operator fun get(index: Int): Double = when (dtype) {
        DType.BOOL, DType.INT8 -> bytes.get(index).toDouble()
        DType.UINT8 -> (bytes.get(index).toInt() and 0xff).toDouble()
        DType.INT16 -> bytes.getShort(2 * index).toDouble()
        DType.INT32 -> bytes.getInt(4 * index).toDouble()
        DType.INT64 -> bytes.getLong(8 * index).toDouble()
        DType.FLOAT16 -> halfToFloat(bytes.getShort(2 * index)).toDouble()
        DType.FLOAT32 -> bytes.getFloat(4 * index).toDouble()
        DType.FLOAT64 -> bytes.getDouble(8 * index)
    }

    internal operator fun set(index: Int, value: Double) {
        when (dtype) {
            DType.BOOL, DType.INT8, DType.UINT8 -> bytes.put(index, value.toInt().toByte())
            DType.INT16 -> bytes.putShort(2 * index, value.toInt().toShort())
            DType.INT32 -> bytes.putInt(4 * index, value.toInt())
            DType.INT64 -> bytes.putLong(8 * index, value.toLong())
            DType.FLOAT16 -> bytes.putShort(2 * index, floatToHalf(value.toFloat()))
            DType.FLOAT32 -> bytes.putFloat(4 * index, value.toFloat())
            DType.FLOAT64 -> bytes.putDouble(8 * index, value)
        }
    }

    /** Every element as a double. */
    fun toDoubles(): DoubleArray = DoubleArray(size) { get(it) }

    /** Every element as a float; a float64 is rounded. */
    fun toFloats(): FloatArray = FloatArray(size) { get(it).toFloat() }

    /** Every element of an integer tensor. */
    fun toLongs(): LongArray = LongArray(size) { if (dtype == DType.INT64) bytes.getLong(8 * it) else get(it).toLong() }

    /** Equal to [other] in type, shape and every bit. */
    fun contentEquals(other: Tensor): Boolean =
        dtype == other.dtype && shape == other.shape && view() == other.view()

    internal fun view(): ByteBuffer = bytes.duplicate().apply { rewind() }

    /** The same numbers as [to]; rounded where that holds fewer digits. */
    internal fun converted(to: DType): Tensor {
        if (to == dtype) return this
        return zeros(to, shape).also { made -> for (index in 0 until size) made[index] = get(index) }
    }

    override fun toString(): String = "${dtype.text} $shape"

    companion object {
        /** Of [shape], filled with zeros. */
        fun zeros(dtype: DType, shape: List<Int>): Tensor {
            val bytes = elements(shape) * dtype.sizeBytes
            if (bytes > Int.MAX_VALUE) {
                throw InputError("tensor ${dtype.text} $shape: has $bytes bytes, expected at most 2 GiB")
            }
            return Tensor(dtype, shape, ByteBuffer.allocateDirect(bytes.toInt()))
        }

        /** A float32 tensor of [values]. */
        fun of(values: FloatArray, vararg shape: Int): Tensor =
            zeros(DType.FLOAT32, shape.toList()).also { it.checkCount(values.size).bytes.asFloatBuffer().put(values) }

        /** An int64 tensor of [values]. */
        fun of(values: LongArray, vararg shape: Int): Tensor =
            zeros(DType.INT64, shape.toList()).also { it.checkCount(values.size).bytes.asLongBuffer().put(values) }

        /** Any tensor, each of whose [values] is converted to [dtype]. */
        fun of(dtype: DType, values: DoubleArray, vararg shape: Int): Tensor =
            zeros(dtype, shape.toList()).also { made ->
                made.checkCount(values.size)
                for (index in values.indices) made[index] = values[index]
            }

        private fun Tensor.checkCount(count: Int): Tensor {
            if (count != size) throw InputError("tensor $this: expected $size values, got $count")
            return this
        }
    }
}

internal fun elements(shape: List<Int>): Long = shape.fold(1L) { product, size -> product * size }

internal fun halfToFloat(half: Short): Float {
    val bits = half.toInt() and 0xffff
    val sign = bits and 0x8000 shl 16
    val exponent = bits shr 10 and 0x1f
    val fraction = bits and 0x3ff
    return when (exponent) {
        0 -> (if (sign == 0) 1f else -1f) * fraction * (1f / (1 shl 24))
        0x1f -> Float.fromBits(sign or 0x7f800000 or (fraction shl 13))
        else -> Float.fromBits(sign or (exponent + 112 shl 23) or (fraction shl 13))
    }
}

/** Rounded to the nearest half, ties to even. */
internal fun floatToHalf(value: Float): Short {
    val bits = value.toRawBits()
    val sign = bits ushr 16 and 0x8000
    val magnitude = bits and 0x7fffffff
    val half = when {
        magnitude > 0x7f800000 -> 0x7e00
        magnitude >= 0x477ff000 -> 0x7c00 // from 65520 on, infinity is nearest
        magnitude < 0x38800000 -> { // subnormal: a multiple of 2^-24
            Math.rint(Float.fromBits(magnitude).toDouble() * (1 shl 24)).toInt()
        }
        else -> (magnitude - (112 shl 23) + 0xfff + (magnitude shr 13 and 1)) shr 13
    }
    return (sign or half).toShort()
}
