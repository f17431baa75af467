package edgeformer.runtime.audio

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.sin

/**
 * The squared spectrum of real frames of [n] numbers (even): halves are split while they are even, odd rests summed.
 */
internal class Fourier(private val n: Int) {
    private val cosines = DoubleArray(n) { cos(2 * PI * it / n) }
    private val sines = DoubleArray(n) { sin(2 * PI * it / n) }

    /** |Σ y[i]·e^(−2πj·i·b/n)|² for 0 ≤ b ≤ n/2. */
    fun powers(y: DoubleArray): DoubleArray {
        val (real, imaginary) = transform(y, 0, 1)
        return DoubleArray(n / 2 + 1) { real[it] * real[it] + imaginary[it] * imaginary[it] }
    }

    /** The transform of y[start], y[start + step], …; a turn of its own is [step] of the whole one's. */
    private fun transform(y: DoubleArray, start: Int, step: Int): Array<DoubleArray> {
        val size = n / step
        if (size % 2 == 1) return summed(y, start, step, size)
        val (evenReal, evenImaginary) = transform(y, start, 2 * step)
        val (oddReal, oddImaginary) = transform(y, start + step, 2 * step)
        val half = size / 2
        val real = DoubleArray(size)
        val imaginary = DoubleArray(size)
        for (b in 0 until half) {
            val cosine = cosines[b * step]
            val sine = sines[b * step]
            val turnedReal = oddReal[b] * cosine + oddImaginary[b] * sine
            val turnedImaginary = oddImaginary[b] * cosine - oddReal[b] * sine
            real[b] = evenReal[b] + turnedReal
            imaginary[b] = evenImaginary[b] + turnedImaginary
            real[b + half] = evenReal[b] - turnedReal
            imaginary[b + half] = evenImaginary[b] - turnedImaginary
        }
        return arrayOf(real, imaginary)
    }

    private fun summed(y: DoubleArray, start: Int, step: Int, size: Int): Array<DoubleArray> {
        val real = DoubleArray(size)
        val imaginary = DoubleArray(size)
        for (b in 0 until size) for (i in 0 until size) {
            val turn = (i.toLong() * b % size).toInt() * step
            real[b] += y[start + i * step] * cosines[turn]
            imaginary[b] -= y[start + i * step] * sines[turn]
        }
        return arrayOf(real, imaginary)
    }
}
