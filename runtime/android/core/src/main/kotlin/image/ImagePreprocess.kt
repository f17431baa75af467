package edgeformer.runtime.image

import edgeformer.runtime.InputError
import edgeformer.runtime.bundle.Fields
import edgeformer.runtime.bundle.Preprocess
import edgeformer.runtime.bundle.aBoolean
import edgeformer.runtime.bundle.aListOf
import edgeformer.runtime.bundle.aNumberIn
import edgeformer.runtime.bundle.aString
import edgeformer.runtime.bundle.anInt
import edgeformer.runtime.bundle.oneOf
import edgeformer.runtime.bundle.orNull
import edgeformer.runtime.bundle.refuse

private const val MAX_SIDE = 4096 // pixels, of what the model takes
private const val MAX_RESIZED_SIDE = 1L shl 24 // pixels, of a picture whose shortest side was resized
private const val MAX_NUMBER = 1e6

/** [size]: [height, width], or [shortest side] where [exact] is false. [cubicA]: the parameter of filter "bicubic". */
data class ImageResize(val size: List<Int>, val exact: Boolean, val filter: String, val cubicA: Double)

/**
 * Where a picture goes, along one axis: [count] pixels from [start] on of its [resized] ones, at [offset] of the
 * tensor.
 */
internal data class AxisPlacement(val resized: Int, val start: Int, val count: Int, val offset: Int)

/** How a picture becomes an input tensor; FORMAT.md, "Preprocessing of kind image", says what each number means. */
data class ImagePreprocess(
    val input: String,
    val grey: Boolean,
    val overWhite: Boolean,
    val resize: ImageResize?,
    val crop: List<Int>?,
    val rescale: Double,
    val mean: List<Double>,
    val std: List<Double>,
) : Preprocess {
    override val kind: String get() = "image"
    override val files: List<String> get() = emptyList()

    /** [channels, height, width] of one picture's tensor. */
    val shape: List<Int> get() = listOf(mean.size) + (crop ?: resize!!.size)

    /**
     * (rows, columns) of where a picture of [height] x [width] pixels goes; raises InputError for a too elongated one.
     */
    internal fun place(height: Int, width: Int): Pair<AxisPlacement, AxisPlacement> {
        val (rows, columns) = resized(height, width)
        return along(rows, shape[1]) to along(columns, shape[2])
    }

    private fun resized(height: Int, width: Int): Pair<Int, Int> {
        if (resize == null) return height to width
        if (resize.exact) return resize.size[0] to resize.size[1]
        val short = resize.size[0]
        val long = short.toLong() * maxOf(height, width) / minOf(height, width)
        if (long > MAX_RESIZED_SIDE) {
            throw InputError(
                "image of $width x $height pixels is too elongated: expected a longer side of at most $MAX_RESIZED_SIDE"
            )
        }
        return if (width <= height) long.toInt() to short else short to long.toInt()
    }

    private fun along(resized: Int, target: Int): AxisPlacement {
        val spare = resized - target // negative: black is added
        return AxisPlacement(resized, maxOf(spare / 2, 0), minOf(resized, target), maxOf((1 - spare) / 2, 0))
    }
}

internal fun readImagePreprocess(value: Any?, where: String): ImagePreprocess {
    val fields = Fields(value, where)
    val side = anInt(1, MAX_SIDE)
    val number = aNumberIn(-MAX_NUMBER, MAX_NUMBER)
    val positive = aNumberIn(1 / MAX_NUMBER, MAX_NUMBER)
    val preprocess = ImagePreprocess( // in Python's order: of several errors it decides which is named
        mean = fields.take("mean", aListOf(number)),
        std = fields.take("std", aListOf(positive)),
        resize = fields.take("resize", orNull(::readResize), null),
        crop = fields.take("crop", orNull(aListOf(side)), null),
        grey = fields.take("color", oneOf("RGB", "L"), "RGB") == "L",
        overWhite = fields.take("alpha", oneOf("white", "drop"), "white") == "white",
        rescale = fields.take("rescale", positive, 1.0 / 255),
        input = fields.take("input", aString, "pixel_values"),
    )
    fields.take("layout", oneOf("NCHW"), "NCHW")
    fields.take("kind", oneOf("image"))
    fields.finish()
    if (preprocess.input.isEmpty()) refuse("$where.input: expected the name of an input")
    val channels = if (preprocess.grey) 1 else 3
    if (preprocess.mean.size != channels || preprocess.std.size != channels) {
        refuse(
            "$where: mean and std: expected $channels numbers each, got ${preprocess.mean.size} and " +
                "${preprocess.std.size}"
        )
    }
    if (preprocess.crop != null && preprocess.crop.size != 2) refuse("$where.crop: expected [height, width]")
    if (preprocess.crop == null && preprocess.resize?.exact != true) {
        refuse(
            "$where: expected a crop, or a resize of mode 'exact': without either, tensors would have different shapes"
        )
    }
    return preprocess
}

private fun readResize(value: Any?, where: String): ImageResize {
    val fields = Fields(value, where)
    val exact = fields.take("mode", oneOf("exact", "shortest")) == "exact"
    val resize = ImageResize(
        size = fields.take("size", aListOf(anInt(1, MAX_SIDE))),
        exact = exact,
        filter = fields.take("filter", oneOf("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")),
        cubicA = fields.take("cubic_a", aNumberIn(-1.0, 0.0), -0.5),
    )
    fields.take("rounding", oneOf("uint8"), "uint8")
    if (!fields.take("antialias", aBoolean, true)) refuse("$where.antialias: expected true")
    fields.finish()
    if (resize.size.size != (if (exact) 2 else 1)) {
        refuse("$where.size: expected ${if (exact) "[height, width]" else "[side]"}")
    }
    return resize
}
