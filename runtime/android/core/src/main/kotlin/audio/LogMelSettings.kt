package edgeformer.runtime.audio

import edgeformer.runtime.bundle.Fields
import edgeformer.runtime.bundle.aBoolean
import edgeformer.runtime.bundle.aNumber
import edgeformer.runtime.bundle.anInt
import edgeformer.runtime.bundle.oneOf
import edgeformer.runtime.bundle.orNull
import edgeformer.runtime.bundle.refuse

private const val MAX_FFT = 1 shl 14
internal const val MAX_VALUES = 1 shl 26 // of one spectrogram

/** The settings of FORMAT.md's "Log-mel"; lengths are numbers of samples. */
class LogMelSettings internal constructor(
    val fftLength: Int,
    val hop: Int,
    val mels: Int,
    val windowLength: Int,
    val reflects: Boolean,
    val removesOffset: Boolean,
    val preemphasis: Double,
    val hasSymmetricWindow: Boolean,
    val minHz: Double,
    val maxHz: Double,
    val scale: String,
    val trianglesInMel: Boolean,
    val areaNorm: Boolean,
    val hasNaturalLog: Boolean,
    val logFloor: Double,
    val dropsLastFrame: Boolean,
    val range: Double?,
    val frames: Int?,
    val mean: Double,
    val std: Double,
    val framesFirst: Boolean,
) {
    /** Samples that are added at either end. */
    internal val mirrored: Int get() = if (reflects) windowLength / 2 else 0

    /** Samples that a sound needs at least. */
    internal val shortest: Int
        get() = maxOf(mirrored + 1, windowLength - 2 * mirrored + if (dropsLastFrame) hop else 0)

    /** Samples that are looked at, where the number of frames is limited and frames aren't centred; null: all. */
    internal val longest: Long?
        get() = if (frames == null || reflects) null else {
            (frames - 1L + if (dropsLastFrame) 1 else 0) * hop + windowLength
        }
}

internal fun readLogMel(value: Any?, where: String): LogMelSettings {
    val fields = Fields(value, where)
    val fftLength = fields.take("n_fft", anInt(2, MAX_FFT))
    val mels = fields.take("mels", anInt(1, 1 shl 10))
    val settings = LogMelSettings(
        fftLength = fftLength,
        mels = mels,
        hop = fields.take("hop", anInt(1, MAX_FFT)),
        windowLength = fields.take("window_length", orNull(anInt(2, fftLength)), null) ?: fftLength,
        reflects = fields.take("reflect", aBoolean, false),
        removesOffset = fields.take("remove_offset", aBoolean, false),
        preemphasis = fields.take("preemphasis", aNumber, 0.0),
        hasSymmetricWindow = fields.take("window", oneOf("hann", "hann_symmetric"), "hann") == "hann_symmetric",
        minHz = fields.take("min_hz", aNumber, 0.0),
        maxHz = fields.take("max_hz", aNumber, 8000.0),
        scale = fields.take("mel_scale", oneOf("htk", "kaldi", "slaney"), "slaney"),
        trianglesInMel = fields.take("triangles_in_mel", aBoolean, false),
        areaNorm = fields.take("area_norm", aBoolean, false),
        hasNaturalLog = fields.take("log", oneOf("natural", "log10"), "natural") == "natural",
        logFloor = fields.take("log_floor", aNumber, 1e-10),
        dropsLastFrame = fields.take("drop_last_frame", aBoolean, false),
        range = fields.take("range", orNull(aNumber), null),
        frames = fields.take("frames", orNull(anInt(1, MAX_VALUES / mels)), null),
        mean = fields.take("mean", aNumber, 0.0),
        std = fields.take("std", aNumber, 1.0),
        framesFirst = fields.take("layout", oneOf("frames_mels", "mels_frames"), "frames_mels") == "frames_mels",
    )
    fields.finish()
    if (fftLength % 2 != 0) refuse("$where.n_fft: expected an even number, got $fftLength")
    if (settings.preemphasis !in 0.0..1.0) refuse("$where.preemphasis: expected 0 to 1, got ${settings.preemphasis}")
    if (!(settings.minHz >= 0 && settings.minHz < settings.maxHz)) {
        refuse("$where.min_hz: expected at least 0, below max_hz, got ${settings.minHz} and ${settings.maxHz}")
    }
    for ((key, number) in listOf("log_floor" to settings.logFloor, "range" to settings.range, "std" to settings.std)) {
        if (!((number ?: 1.0) > 0)) refuse("$where.$key: expected a positive number, got $number")
    }
    return settings
}
