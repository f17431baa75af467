package edgeformer.runtime.audio

import kotlin.math.PI
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin
import kotlin.math.sqrt

private const val ZERO_CROSSINGS = 10
private const val KAISER_BETA = 5.0

/** [x] of [rate] Hz at [target] Hz, at most [limit] samples: one windowed sinc; FORMAT.md, "Another rate". */
internal fun resample(x: FloatArray, rate: Int, target: Int, limit: Int?): FloatArray {
    val common = divisor(rate, target)
    val (up, down) = target / common to rate / common
    val half = ZERO_CROSSINGS * max(up, down)
    val h = filter(up, max(up, down), half)
    val length = min((x.size.toLong() * up + down - 1) / down, limit?.toLong() ?: Long.MAX_VALUE).toInt()
    return FloatArray(length) { index ->
        val place = index.toLong() * down + half // h's index at x[0]
        val first = max(0L, (place - 2L * half + up - 1) / up).toInt()
        val last = min(x.size - 1L, place / up).toInt()
        var sum = 0.0
        for (k in first..last) sum += h[(place - k.toLong() * up).toInt()] * x[k]
        sum.toFloat()
    }
}

private fun filter(up: Int, slower: Int, half: Int): DoubleArray {
    val g = DoubleArray(2 * half + 1) {
        val t = (it - half).toDouble() / slower * PI
        val place = (it - half).toDouble() / half
        (if (t == 0.0) 1.0 else sin(t) / t) * bessel(KAISER_BETA * sqrt(1 - place * place)) / bessel(KAISER_BETA)
    }
    val sum = g.sum()
    return DoubleArray(g.size) { up * g[it] / sum }
}

/** I0 by its power series, to the last bit that counts. */
private fun bessel(x: Double): Double {
    var sum = 1.0
    var term = 1.0
    var k = 1
    while (term > sum * 1e-18) {
        val step = x / (2 * k++)
        term *= step * step
        sum += term
    }
    return sum
}

private tailrec fun divisor(a: Int, b: Int): Int = if (b == 0) a else divisor(b, a % b)
