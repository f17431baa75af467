package edgeformer.runtime.audio

import edgeformer.runtime.bundle.Fields
import edgeformer.runtime.bundle.Preprocess
import edgeformer.runtime.bundle.aBoolean
import edgeformer.runtime.bundle.aNumber
import edgeformer.runtime.bundle.aString
import edgeformer.runtime.bundle.anInt
import edgeformer.runtime.bundle.oneOf
import edgeformer.runtime.bundle.orNull
import edgeformer.runtime.bundle.refuse

/** How a sound becomes an input tensor: FORMAT.md's kind "audio". Lengths are numbers of samples at [rateHz]. */
class AudioPreprocess internal constructor(
    val rateHz: Int,
    val input: String,
    val mask: String?,
    val normalizes: Boolean,
    val paddingValue: Double,
    val minSamples: Int,
    val maxSamples: Int?,
    val padsToMax: Boolean,
    val logMel: LogMelSettings?,
) : Preprocess {
    override val kind: String get() = "audio"
    override val files: List<String> get() = emptyList()

    /** Samples that a sound needs at least. */
    val shortest: Int
        get() = if (logMel == null || padsToMax) minSamples else maxOf(minSamples, logMel.shortest)

    /** Samples of a sound that are looked at; null: all. */
    val longest: Int?
        get() = listOfNotNull(maxSamples?.toLong(), logMel?.longest).minOrNull()
            ?.let { minOf(it, Int.MAX_VALUE.toLong()).toInt() }
}

internal fun readAudioPreprocess(value: Any?, where: String): AudioPreprocess {
    val fields = Fields(value, where)
    fields.take("kind", oneOf("audio"))
    val preprocess = AudioPreprocess(
        rateHz = fields.take("rate_hz", anInt(MIN_RATE_HZ, MAX_RATE_HZ)),
        input = fields.take("input", aString, "input_values"),
        mask = fields.take("mask", orNull(aString), null),
        normalizes = fields.take("normalize", aBoolean, false),
        paddingValue = fields.take("padding_value", aNumber, 0.0),
        minSamples = fields.take("min_samples", anInt(1, MAX_SAMPLES), 1),
        maxSamples = fields.take("max_samples", orNull(anInt(1, MAX_SAMPLES)), null),
        padsToMax = fields.take("pad_to_max", aBoolean, false),
        logMel = fields.take("log_mel", orNull(::readLogMel), null),
    )
    fields.finish()
    check(preprocess, where)
    return preprocess
}

private fun check(preprocess: AudioPreprocess, where: String) {
    val (input, mask, most) = Triple(preprocess.input, preprocess.mask, preprocess.maxSamples)
    if (input.isEmpty() || mask == "" || mask == input) refuse("$where: expected two names, input's and mask's")
    if (most != null && preprocess.minSamples > most) refuse("$where.min_samples: is above max_samples, $most")
    if (preprocess.padsToMax && most == null) refuse("$where.pad_to_max: needs max_samples")
    val logMel = preprocess.logMel ?: return
    if (preprocess.normalizes || mask != null) {
        refuse("$where: expected normalize or mask, which are a waveform's, or log_mel, got both")
    }
    if (logMel.maxHz > preprocess.rateHz / 2.0) refuse("$where.log_mel.max_hz: expected at most half of rate_hz")
    if (most != null && most < logMel.shortest) refuse("$where.max_samples: is less than one frame, ${logMel.shortest}")
    if (logMel.frames != null && preprocess.padsToMax) {
        refuse("$where: expected log_mel.frames or pad_to_max, got both: they fill up in different places")
    }
}
