package edgeformer.runtime.android.engines

import edgeformer.runtime.DType
import edgeformer.runtime.EngineError
import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel

private const val IDENTIFIER = "TFL3"
private const val MAX_COUNT = 100_000

/** TensorType of TFLite's schema; others have no tensor here. */
private val TYPES = mapOf(
    0 to DType.FLOAT32, 1 to DType.FLOAT16, 2 to DType.INT32, 3 to DType.UINT8, 4 to DType.INT64, 6 to DType.BOOL,
    7 to DType.INT16, 9 to DType.INT8, 10 to DType.FLOAT64,
)

/** A tensor that goes into or comes out of a signature; −1 is a size that varies. */
internal data class TfliteTensor(val name: String, val dtype: DType, val shape: List<Int>)

/** One entry point of a .tflite file: "seq64", "serving_default". */
internal class TfliteSignature(val key: String, val inputs: List<TfliteTensor>, val outputs: List<TfliteTensor>) {
    /**
     * Whether it takes inputs of [shapes], {name: shape}. A converter drops what a model never uses: there may be more.
     */
    fun takes(shapes: Map<String, List<Int>>): Boolean = inputs.all { input ->
        val given = shapes[input.name]
        given?.size == input.shape.size &&
            given.zip(input.shape).all { (size, wanted) -> wanted == -1 || size == wanted }
    }
}

/**
 * The signatures of a .tflite [file], which LiteRT's Kotlin API doesn't list. Raises EngineError for what is no such
 * file.
 */
internal fun tfliteSignatures(file: File): List<TfliteSignature> {
    val bytes = RandomAccessFile(file, "r").use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length()) }
    bytes.order(ByteOrder.LITTLE_ENDIAN)
    try {
        val identifier = String(CharArray(IDENTIFIER.length) { Char(bytes.get(4 + it).toInt() and 0xff) })
        if (identifier != IDENTIFIER) {
            throw EngineError("${file.name}: expected '$IDENTIFIER' at byte 4: it is no TFLite file")
        }
        val model = Table(bytes, bytes.getInt(0))
        val graphs = model.tables(2)
        return model.tables(7).map { signature ->
            val tensors = graphs[signature.int(4)].tables(0)
            TfliteSignature(
                key = signature.text(2),
                inputs = signature.tables(0).map { named(it, tensors) },
                outputs = signature.tables(1).map { named(it, tensors) },
            )
        }
    } catch (error: IndexOutOfBoundsException) { // an offset that points nowhere
        throw EngineError("${file.name}: it is no whole TFLite file: $error", error)
    }
}

private fun named(map: Table, tensors: List<Table>): TfliteTensor {
    val name = map.text(0)
    val tensor = tensors[map.int(1)]
    val type = tensor.byte(1)
    val dtype = TYPES[type]
        ?: throw EngineError("tensor '$name' is of TFLite's type $type, which the runtime has no tensors for")
    return TfliteTensor(name, dtype, tensor.ints(7).ifEmpty { tensor.ints(0) })
}

/** A FlatBuffers table: fields by their number in the schema, through the table of offsets before it. */
private class Table(private val bytes: ByteBuffer, private val start: Int) {
    private val offsets = start - bytes.getInt(start)

    /** Where field [number] lies; null where it has its default. */
    private fun place(number: Int): Int? {
        val entry = 4 + 2 * number
        if (entry >= short(offsets)) return null
        return short(offsets + entry).takeIf { it != 0 }?.let { start + it }
    }

    private fun short(at: Int): Int = bytes.getShort(at).toInt() and 0xffff

    fun byte(number: Int): Int = place(number)?.let { bytes.get(it).toInt() } ?: 0

    fun int(number: Int): Int = place(number)?.let(bytes::getInt) ?: 0

    fun text(number: Int): String {
        val at = target(number) ?: return ""
        val content = ByteArray(count(at))
        for (index in content.indices) content[index] = bytes.get(at + 4 + index)
        return content.toString(Charsets.UTF_8)
    }

    fun ints(number: Int): List<Int> =
        target(number)?.let { at -> List(count(at)) { bytes.getInt(at + 4 + 4 * it) } }.orEmpty()

    fun tables(number: Int): List<Table> = target(number)?.let { at ->
        List(count(at)) { (at + 4 + 4 * it).let { entry -> Table(bytes, entry + bytes.getInt(entry)) } }
    }.orEmpty()

    private fun target(number: Int): Int? = place(number)?.let { it + bytes.getInt(it) }

    private fun count(at: Int): Int {
        val count = bytes.getInt(at)
        if (count < 0 || count > MAX_COUNT) throw IndexOutOfBoundsException("$count elements at byte $at")
        return count
    }
}
