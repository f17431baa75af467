package edgeformer.runtime.audio

import edgeformer.runtime.InputError
import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.log10
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow

private val SLANEY_STEP = ln(6.4) / 27

/** Log-mel spectrograms in 64-bit floats; steps and formulas are FORMAT.md's, "Log-mel". */
internal class LogMel(private val settings: LogMelSettings, private val rateHz: Int) {
    private val fourier = Fourier(settings.fftLength)
    private val filters = melFilters()
    private val window = DoubleArray(settings.windowLength) {
        val period = if (settings.hasSymmetricWindow) settings.windowLength - 1 else settings.windowLength
        0.5 - 0.5 * cos(2 * PI * it / period)
    }

    /** One weighted range of bins of the spectrum. */
    private class Filter(val first: Int, val weights: DoubleArray)

    /** [frames, mels], or [mels, frames] where the layout says so, and the number of frames. Raises InputError. */
    fun of(samples: DoubleArray): Pair<FloatArray, Int> {
        if (samples.size < settings.shortest) {
            throw InputError("sound: has ${samples.size} samples at $rateHz Hz: expected at least ${settings.shortest}")
        }
        val x = mirrored(samples, settings.mirrored)
        val all = 1 + (x.size - settings.windowLength) / settings.hop - if (settings.dropsLastFrame) 1 else 0
        val made = min(all, settings.frames ?: all)
        val mels = settings.mels
        if (made.toLong() * mels > MAX_VALUES) throw InputError("sound: gives $made frames: cut it")
        val frames = settings.frames ?: made
        val values = DoubleArray(made * mels)
        for (frame in 0 until made) {
            val spectrum = fourier.powers(windowed(x, frame * settings.hop))
            filters.forEachIndexed { mel, filter -> values[frame * mels + mel] = logOf(filter, spectrum) }
        }
        val range = settings.range
        val least = if (range == null) Double.NEGATIVE_INFINITY else (values.maxOrNull() ?: 0.0) - range
        val out = FloatArray(frames * mels) { index ->
            val (frame, mel) =
                if (settings.framesFirst) index / mels to index % mels else index % frames to index / frames
            val value = if (frame < made) max(values[frame * mels + mel], least) else 0.0
            ((value - settings.mean) / settings.std).toFloat()
        }
        return out to frames
    }

    private fun logOf(filter: Filter, spectrum: DoubleArray): Double {
        var sum = 0.0
        for (index in filter.weights.indices) sum += filter.weights[index] * spectrum[filter.first + index]
        val power = max(sum, settings.logFloor)
        return if (settings.hasNaturalLog) ln(power) else log10(power)
    }

    private fun mirrored(x: DoubleArray, size: Int): DoubleArray {
        val last = x.size - 1
        return DoubleArray(x.size + 2 * size) {
            val place = if (it < size) size - it else it - size
            x[if (place > last) 2 * last - place else place]
        }
    }

    /** The frame from [start] on, windowed and filled up to the transform's length. */
    private fun windowed(x: DoubleArray, start: Int): DoubleArray {
        val length = settings.windowLength
        val frame = x.copyOfRange(start, start + length)
        if (settings.removesOffset) {
            val mean = frame.average()
            for (i in frame.indices) frame[i] -= mean
        }
        if (settings.preemphasis != 0.0) {
            for (i in length - 1 downTo 0) frame[i] -= settings.preemphasis * frame[max(i - 1, 0)]
        }
        for (i in frame.indices) frame[i] *= window[i]
        return frame.copyOf(settings.fftLength)
    }

    private fun melFilters(): List<Filter> {
        val (mels, bins) = settings.mels to settings.fftLength / 2 + 1
        val low = melOf(settings.minHz)
        val high = melOf(settings.maxHz)
        val melPoints = DoubleArray(mels + 2) { low + (high - low) * it / (mels + 1) }
        val hzPoints = DoubleArray(mels + 2) { hzOf(melPoints[it]) }
        val points = if (settings.trianglesInMel) melPoints else hzPoints
        val places = DoubleArray(bins) {
            if (settings.trianglesInMel) melOf(it.toDouble() * rateHz / (2 * (bins - 1)))
            else it.toDouble() * (rateHz / 2) / (bins - 1)
        }
        return List(mels) { mel ->
            val (from, middle, to) = Triple(points[mel], points[mel + 1], points[mel + 2])
            val area = if (settings.areaNorm) 2 / (hzPoints[mel + 2] - hzPoints[mel]) else 1.0
            val weights = DoubleArray(bins) {
                max(0.0, area * min((places[it] - from) / (middle - from), (to - places[it]) / (to - middle)))
            }
            val first = weights.indexOfFirst { it > 0 }
            if (first < 0) Filter(0, DoubleArray(0))
            else Filter(first, weights.copyOfRange(first, weights.indexOfLast { it > 0 } + 1))
        }
    }

    private fun melOf(hz: Double): Double = when (settings.scale) {
        "htk" -> 2595 * log10(1 + hz / 700)
        "kaldi" -> 1127 * ln(1 + hz / 700)
        else -> if (hz >= 1000) 15 + ln(hz / 1000) / SLANEY_STEP else 3 * hz / 200
    }

    private fun hzOf(mel: Double): Double = when (settings.scale) {
        "htk" -> 700 * (10.0.pow(mel / 2595) - 1)
        "kaldi" -> 700 * (exp(mel / 1127) - 1)
        else -> if (mel >= 15) 1000 * exp(SLANEY_STEP * (mel - 15)) else 200 * mel / 3
    }
}
