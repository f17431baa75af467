package edgeformer.runtime.audio

import edgeformer.runtime.DType
import edgeformer.runtime.InputError
import edgeformer.runtime.Tensor
import edgeformer.runtime.tasks.Encoded
import java.util.Locale
import kotlin.math.sqrt

private const val NORMALIZE_EPSILON = 1e-7 // added to the variance

/** Makes tensors of sounds, one a row, padded by itself. */
class AudioEncoder(private val preprocess: AudioPreprocess) {
    private val logMel = preprocess.logMel?.let { LogMel(it, preprocess.rateHz) }

    /**
     * [sound], ready to run; its notes say what was done to it. Raises InputError for one that is too short or long.
     */
    fun encode(sound: Sound): Encoded {
        val notes = ArrayList(sound.notes)
        val rateHz = preprocess.rateHz
        val limit = preprocess.longest
        var row = sound.samples
        var size = row.size.toLong()
        if (row.all { it == row[0] }) notes += "is silence: all its samples are ${row[0]}"
        if (sound.rateHz != rateHz) {
            notes += "was resampled from ${sound.rateHz} Hz to $rateHz Hz"
            size = (size * rateHz + sound.rateHz - 1) / sound.rateHz
            if (limit == null && size > MAX_SAMPLES) throw InputError("sound: has $size samples at $rateHz Hz: cut it")
            row = resample(row, sound.rateHz, rateHz, limit)
        }
        if (size < preprocess.shortest) {
            throw InputError("sound: has $size samples at $rateHz Hz: the model takes at least ${preprocess.shortest}")
        }
        val isCut = limit != null && size > limit
        if (isCut) {
            notes += String.format(
                Locale.ROOT, "was cut from %.2f s to %.2f s", size / rateHz.toDouble(), limit / rateHz.toDouble()
            )
            row = row.copyOf(limit)
        }
        return Encoded(feeds(row), truncated = isCut, notes = notes)
    }

    private fun feeds(row: FloatArray): Map<String, Tensor> {
        val settings = preprocess.logMel
        val isFilledUp = settings?.frames != null // by frames, of the sound alone
        val length = if (preprocess.padsToMax && !isFilledUp) preprocess.maxSamples!! else row.size
        val padded = DoubleArray(length) { if (it < row.size) row[it].toDouble() else preprocess.paddingValue }
        if (logMel != null && settings != null) {
            val (values, frames) = logMel.of(padded)
            val (rows, columns) = if (settings.framesFirst) frames to settings.mels else settings.mels to frames
            return mapOf(preprocess.input to Tensor.of(values, 1, rows, columns))
        }
        if (preprocess.normalizes) normalize(padded, if (preprocess.mask == null) length else row.size)
        val feeds = mapOf(preprocess.input to Tensor.of(DType.FLOAT32, padded, 1, length))
        val mask = preprocess.mask ?: return feeds
        return feeds + (mask to Tensor.of(LongArray(length) { if (it < row.size) 1 else 0 }, 1, length))
    }

    private fun normalize(values: DoubleArray, size: Int) {
        var mean = 0.0
        for (i in 0 until size) mean += values[i]
        mean /= size
        var variance = 0.0
        for (i in 0 until size) variance += (values[i] - mean) * (values[i] - mean)
        val scale = sqrt(variance / size + NORMALIZE_EPSILON)
        for (i in 0 until size) values[i] = (values[i] - mean) / scale
    }
}
