package edgeformer.runtime.selection

import edgeformer.runtime.Tensor
import java.nio.ByteBuffer

/** [tensor] with each dimension cut at its end, or filled up there with [fill], to [shape]. */
internal fun reshapedTo(tensor: Tensor, shape: List<Int>, fill: Double = 0.0): Tensor {
    if (shape == tensor.shape) return tensor
    val made = Tensor.zeros(tensor.dtype, shape)
    if (fill != 0.0) for (index in 0 until made.size) made[index] = fill
    val rank = shape.size
    if (rank == 0) return tensor
    val row = minOf(shape.last(), tensor.shape.last())
    val index = IntArray(rank)
    while (true) {
        var (from, to) = 0 to 0
        for (axis in 0 until rank) {
            from = from * tensor.shape[axis] + index[axis]
            to = to * shape[axis] + index[axis]
        }
        copy(tensor, from, made, to, row)
        var axis = rank - 2
        while (axis >= 0 && ++index[axis] == minOf(shape[axis], tensor.shape[axis])) index[axis--] = 0
        if (axis < 0) return made
    }
}

/** The entries [indices] of [tensor] along [axis]. */
internal fun take(tensor: Tensor, axis: Int, indices: List<Int>): Tensor {
    val shape = tensor.shape.toMutableList().also { it[axis] = indices.size }
    val made = Tensor.zeros(tensor.dtype, shape)
    val inner = tensor.shape.drop(axis + 1).fold(1) { a, b -> a * b }
    val outer = tensor.shape.take(axis).fold(1) { a, b -> a * b }
    for (block in 0 until outer) indices.forEachIndexed { at, index ->
        copy(tensor, (block * tensor.shape[axis] + index) * inner, made, (block * indices.size + at) * inner, inner)
    }
    return made
}

/** [parts], which differ in the size of [axis] alone, one behind the other. */
internal fun concatenated(parts: List<Tensor>, axis: Int): Tensor {
    val first = parts[0]
    val size = parts.sumOf { it.shape[axis] }
    val made = Tensor.zeros(first.dtype, first.shape.toMutableList().also { it[axis] = size })
    val inner = first.shape.drop(axis + 1).fold(1) { a, b -> a * b }
    val outer = first.shape.take(axis).fold(1) { a, b -> a * b }
    var before = 0
    for (part in parts) {
        val own = part.shape[axis] * inner
        for (block in 0 until outer) copy(part, block * own, made, (block * size + before) * inner, own)
        before += part.shape[axis]
    }
    return made
}

/** Copy [count] elements; places in elements. */
private fun copy(from: Tensor, start: Int, to: Tensor, target: Int, count: Int) {
    val bytes = from.dtype.sizeBytes
    val source: ByteBuffer = from.view()
    source.limit((start + count) * bytes).position(start * bytes)
    val out: ByteBuffer = to.view()
    out.position(target * bytes)
    out.put(source)
}
