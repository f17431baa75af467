package edgeformer.runtime.image

import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.sin

// of a weight's fraction: 32 of a sum, less 8 of a pixel, less 2 for weights beyond 1 and below 0
private const val BITS = 22

/** One channel: [values] holds bytes (0…255), rows from the top. */
internal class Plane(val height: Int, val width: Int, val values: ByteArray) {
    fun at(row: Int, column: Int): Int = values[row * width + column].toInt() and 0xff

    fun transposed(): Plane =
        Plane(width, height, ByteArray(values.size) { values[it % height * width + it / height] })

    /** Its rows in [range], all columns. */
    fun rows(range: IntRange): Plane =
        Plane(range.last - range.first + 1, width, values.copyOfRange(range.first * width, (range.last + 1) * width))
}

/** The part of [plane] resized as [rows] and [columns] say, equal to Pillow's to the byte. */
internal fun resized(plane: Plane, rows: AxisPlacement, columns: AxisPlacement, resize: ImageResize): Plane {
    if (resize.filter == "nearest") return nearest(plane, rows, columns)
    val vertical = Weights(plane.height, rows, resize)
    val horizontal = Weights(plane.width, columns, resize)
    val shrinks = plane.height - rows.resized
    // As Pillow chooses, for speed; rounding between the passes makes the order visible.
    if (shrinks > 0 && shrinks > 2 * (plane.width - columns.resized)) {
        return filteredTwice(plane.transposed(), vertical, horizontal).transposed()
    }
    return filteredTwice(plane, horizontal, vertical)
}

/** [plane], whose columns lie along the axis of [sooner] and whose rows along that of [later]. */
private fun filteredTwice(plane: Plane, sooner: Weights, later: Weights): Plane {
    val once = sooner.filtered(plane.rows(later.reach), 0)
    return later.filtered(once.transposed(), later.reach.first).transposed()
}

private fun nearest(plane: Plane, rows: AxisPlacement, columns: AxisPlacement): Plane {
    val fromRows = nearestInputs(plane.height, rows)
    val fromColumns = nearestInputs(plane.width, columns)
    val out = ByteArray(rows.count * columns.count)
    for (row in 0 until rows.count) for (column in 0 until columns.count) {
        out[row * columns.count + column] = plane.values[fromRows[row] * plane.width + fromColumns[column]]
    }
    return Plane(rows.count, columns.count, out)
}

/** The input of each output: the step is added again and again, so that rounding errors add up as Pillow's do. */
private fun nearestInputs(inputs: Int, axis: AxisPlacement): IntArray {
    val step = inputs.toDouble() / axis.resized
    var position = step * 0.5
    val found = IntArray(axis.count)
    for (index in 0 until axis.start + axis.count) {
        if (index >= axis.start) found[index - axis.start] = position.toInt()
        position += step
    }
    return found
}

/** The integer weights that make the wanted outputs of an axis; none where its length doesn't change. */
private class Weights(private val inputs: Int, private val axis: AxisPlacement, private val resize: ImageResize) {
    private val isIdentity = inputs == axis.resized
    private val firsts = IntArray(axis.count)
    private val weights = arrayOfNulls<IntArray>(axis.count)

    init {
        if (isIdentity) for (index in firsts.indices) firsts[index] = axis.start + index
        else for (index in firsts.indices) weigh(index)
    }

    /** The inputs that the outputs are made of. */
    val reach: IntRange
        get() = firsts[0]..(if (isIdentity) firsts.last() else firsts.last() + weights.last()!!.size - 1)

    private fun weigh(index: Int) {
        val scale = inputs.toDouble() / axis.resized
        val stretch = maxOf(scale, 1.0) // a picture that grows isn't smoothed
        val support = radius(resize.filter) * stretch
        val center = (axis.start + index + 0.5) * scale
        val first = maxOf((center - support + 0.5).toInt(), 0)
        val last = minOf((center + support + 0.5).toInt(), inputs)
        val raw = DoubleArray(last - first) { weight((it + first - center + 0.5) * (1 / stretch), resize) }
        var sum = 0.0
        for (value in raw) sum += value
        firsts[index] = first
        weights[index] = IntArray(raw.size) {
            val share = if (sum == 0.0) raw[it] else raw[it] / sum
            (share * (1 shl BITS) + (if (share < 0) -0.5 else 0.5)).toInt()
        }
    }

    /** The outputs of each row of [plane], whose first column is input [skipped]. */
    fun filtered(plane: Plane, skipped: Int): Plane {
        val out = ByteArray(plane.height * axis.count)
        for (row in 0 until plane.height) for (index in 0 until axis.count) {
            val first = firsts[index] - skipped
            val weights = weights[index]
            out[row * axis.count + index] = if (weights == null) plane.values[row * plane.width + first] else {
                var total = 1 shl (BITS - 1)
                for (at in weights.indices) total += weights[at] * plane.at(row, first + at)
                (total shr BITS).coerceIn(0, 255).toByte()
            }
        }
        return Plane(plane.height, axis.count, out)
    }
}

private fun radius(filter: String): Double = when (filter) {
    "box" -> 0.5
    "bilinear", "hamming" -> 1.0
    "bicubic" -> 2.0
    else -> 3.0 // lanczos
}

private fun weight(x: Double, resize: ImageResize): Double = when (resize.filter) {
    "box" -> if (x > -0.5 && x <= 0.5) 1.0 else 0.0
    "bilinear" -> if (abs(x) < 1) 1 - abs(x) else 0.0
    "hamming" -> {
        val angle = abs(x) * Math.PI
        if (angle == 0.0) 1.0 else if (abs(x) >= 1) 0.0 else sin(angle) / angle * (0.54 + 0.46 * cos(angle))
    }
    "bicubic" -> cubic(abs(x), resize.cubicA)
    else -> if (x >= -3 && x < 3) sinc(x) * sinc(x / 3) else 0.0
}

private fun cubic(x: Double, a: Double): Double = when {
    x < 1 -> ((a + 2) * x - (a + 3)) * x * x + 1
    x < 2 -> (((x - 5) * x + 8) * x - 4) * a
    else -> 0.0
}

private fun sinc(x: Double): Double {
    val angle = x * Math.PI
    return if (angle == 0.0) 1.0 else sin(angle) / angle
}
