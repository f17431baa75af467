package edgeformer.runtime.image

import edgeformer.runtime.DType
import edgeformer.runtime.Tensor

/** Makes tensors of pictures; equal to the Python runtime's bit by bit. */
class ImageEncoder(private val preprocess: ImagePreprocess) {
    /** A byte has 256 values, so that the arithmetic after resizing is a table a channel. */
    private val tables = List(preprocess.mean.size) { channel ->
        val mean = preprocess.mean[channel].toFloat()
        val std = preprocess.std[channel].toFloat()
        FloatArray(256) { ((it * preprocess.rescale).toFloat() - mean) / std }
    }

    /** {the input's name: float32 [1, channels, height, width]}; raises InputError for a too elongated picture. */
    fun encode(picture: Picture): Map<String, Tensor> {
        val (channels, height, width) = preprocess.shape
        val (rows, columns) = preprocess.place(picture.height, picture.width)
        val tensor = Tensor.zeros(DType.FLOAT32, listOf(1, channels, height, width))
        val out = tensor.bytes.asFloatBuffer()
        for (channel in 0 until channels) {
            val plane = placed(channelOf(picture, channel), rows, columns)
            val table = tables[channel]
            for (row in 0 until height) for (column in 0 until width) {
                val inside = row - rows.offset in 0 until rows.count && column - columns.offset in 0 until columns.count
                out.put(table[if (inside) plane.at(row - rows.offset, column - columns.offset) else 0])
            }
        }
        return mapOf(preprocess.input to tensor)
    }

    private fun channelOf(picture: Picture, channel: Int): Plane {
        val values = ByteArray(picture.argb.size) { index ->
            val pixel = picture.argb[index]
            val (red, green, blue) = Triple(over(pixel shr 16, pixel), over(pixel shr 8, pixel), over(pixel, pixel))
            when {
                preprocess.grey -> (19595 * red + 38470 * green + 7471 * blue + 32768) / 65536
                channel == 0 -> red
                channel == 1 -> green
                else -> blue
            }.toByte()
        }
        return Plane(picture.height, picture.width, values)
    }

    /** A channel in the lowest byte of [shifted], over white where the picture is transparent: rounded to nearest. */
    private fun over(shifted: Int, pixel: Int): Int {
        val value = shifted and 0xff
        val alpha = pixel ushr 24
        return if (!preprocess.overWhite || alpha == 255) value else (value * alpha + 255 * (255 - alpha) + 127) / 255
    }

    private fun placed(plane: Plane, rows: AxisPlacement, columns: AxisPlacement): Plane {
        val resize = preprocess.resize
        if (resize != null) return resized(plane, rows, columns, resize)
        val out = ByteArray(rows.count * columns.count) { index ->
            val row = rows.start + index / columns.count
            plane.values[row * plane.width + columns.start + index % columns.count]
        }
        return Plane(rows.count, columns.count, out)
    }
}
