package edgeformer.runtime.audio

import edgeformer.runtime.InputError
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

internal const val MAX_SAMPLES = 1 shl 26 // of all channels together
internal const val MIN_RATE_HZ = 1_000
internal const val MAX_RATE_HZ = 192_000
private const val MAX_AMPLITUDE = 1_000f // far beyond ±1 samples are 16-bit integers that nobody divided
private const val MAX_CHANNELS = 64
private const val MAX_CHUNKS = 1_000
private const val PCM = 1
private const val FLOAT = 3
private const val EXTENSIBLE = 0xfffe
private const val UNKNOWN_SIZE = 0xffffffffL // what a program that writes to a pipe says
private val GUID_TAIL = byteArrayOf(0, 0, 0, 0, 0x10, 0, -128, 0, 0, 0xaa.toByte(), 0, 0x38, 0x9b.toByte(), 0x71)

/**
 * One channel of sound: [samples] of about ±1, [rateHz] of them a second. [notes]: what was done to them, a sentence
 * each. Raises InputError for no samples or too many, another rate than 1,000 to 192,000 Hz, NaN, and what is far
 * beyond ±1.
 */
class Sound(val samples: FloatArray, val rateHz: Int, val notes: List<String> = emptyList()) {
    init {
        if (rateHz !in MIN_RATE_HZ..MAX_RATE_HZ) {
            throw InputError("sound: a rate of $rateHz Hz: expected $MIN_RATE_HZ to $MAX_RATE_HZ")
        }
        if (samples.size !in 1..MAX_SAMPLES) {
            throw InputError("sound: has ${samples.size} samples: expected 1 to $MAX_SAMPLES")
        }
        for (sample in samples) {
            if (!(abs(sample) <= MAX_AMPLITUDE)) {
                throw InputError("sound: a sample is $sample: expected about ±1 (16 bits: divide by 32768)")
            }
        }
    }

    companion object {
        /**
         * The sound of a WAV file's [content]: PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, plain or extensible;
         * its channels are averaged. Raises InputError for what is none, cut off, damaged or of another encoding.
         */
        fun ofWav(content: ByteArray): Sound {
            val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
            if (content.size < 12 || tag(buffer, 0) != "RIFF" || tag(buffer, 8) != "WAVE") {
                wrong("expected a WAV file (RIFF…WAVE)")
            }
            var header: Header? = null
            var at = 12L
            repeat(MAX_CHUNKS) {
                if (at + 8 > content.size) wrong(if (header == null) "it has no header" else "it has no samples")
                val said = buffer.getInt(at.toInt() + 4).toLong() and 0xffffffffL
                val chunk = part(buffer, at.toInt() + 8, minOf(said, content.size - at - 8).toInt())
                when (tag(buffer, at.toInt())) {
                    "fmt " -> header = Header(chunk)
                    "data" -> return soundOf(chunk, said, header ?: wrong("its samples come before its header"))
                }
                at += 8 + said + said % 2
            }
            wrong("it has more than $MAX_CHUNKS chunks")
        }
    }
}

private class Header(chunk: ByteBuffer) {
    val channels: Int
    val rateHz: Int
    val bits: Int
    val isFloat: Boolean

    init {
        if (chunk.limit() < 16) wrong("its header has ${chunk.limit()} bytes: expected at least 16")
        var kind = unsigned(chunk, 0)
        if (kind == EXTENSIBLE) {
            if (chunk.limit() < 40) wrong("its extensible header has ${chunk.limit()} bytes: expected 40")
            if (GUID_TAIL.indices.all { chunk.get(26 + it) == GUID_TAIL[it] }) kind = unsigned(chunk, 24)
        }
        channels = unsigned(chunk, 2)
        rateHz = minOf(chunk.getInt(4).toLong() and 0xffffffffL, Int.MAX_VALUE.toLong()).toInt()
        bits = unsigned(chunk, 14)
        isFloat = kind == FLOAT
        if (!(kind == PCM && bits in listOf(8, 16, 24, 32) || isFloat && bits in listOf(32, 64))) {
            wrong("encoding $kind of $bits bits: expected PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64")
        }
        if (channels !in 1..MAX_CHANNELS) wrong("$channels channels: expected 1 to $MAX_CHANNELS")
        val block = unsigned(chunk, 12)
        if (block != channels * bits / 8) wrong("its header says $block bytes for $channels channels of $bits bits")
    }

    fun sample(data: ByteBuffer, at: Int): Double = when (bits) {
        8 -> ((data.get(at).toInt() and 0xff) - 128) / 128.0
        16 -> data.getShort(at) / 32768.0
        24 -> (data.get(at + 2) * 65536 + unsigned(data, at)) / 8388608.0
        64 -> data.getDouble(at)
        else -> if (isFloat) data.getFloat(at).toDouble() else data.getInt(at) / 2147483648.0
    }
}

private fun soundOf(data: ByteBuffer, saidBytes: Long, header: Header): Sound {
    val bytes = data.limit()
    if (saidBytes != UNKNOWN_SIZE && saidBytes > bytes) wrong("it says $saidBytes bytes of samples and holds $bytes")
    val width = header.bits / 8
    val channels = header.channels
    if (bytes % (width * channels) != 0) wrong("its samples end within one")
    if (bytes / width > MAX_SAMPLES) wrong("it has more than $MAX_SAMPLES samples")
    val samples = FloatArray(bytes / (width * channels)) { row ->
        var sum = 0.0
        for (channel in 0 until channels) sum += header.sample(data, (row * channels + channel) * width)
        (sum / channels).toFloat()
    }
    val notes = if (channels == 1) emptyList() else listOf("$channels channels were averaged into one")
    return Sound(samples, header.rateHz, notes)
}

private fun part(buffer: ByteBuffer, start: Int, size: Int): ByteBuffer {
    val view = buffer.duplicate()
    view.position(start)
    view.limit(start + size)
    return view.slice().order(ByteOrder.LITTLE_ENDIAN)
}

private fun unsigned(buffer: ByteBuffer, at: Int): Int = buffer.getShort(at).toInt() and 0xffff

private fun tag(buffer: ByteBuffer, at: Int): String =
    String(ByteArray(4) { buffer.get(at + it) }, Charsets.ISO_8859_1)

private fun wrong(problem: String): Nothing =
    throw InputError("sound: $problem: record or convert it again, as WAV")
