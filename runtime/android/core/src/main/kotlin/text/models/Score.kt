package edgeformer.runtime.text.models

import java.math.BigDecimal
import java.math.MathContext
import kotlin.math.abs

private const val ALWAYS_SHORTEST = 15 // digits that any double can tell apart
private const val LARGEST_POWER = 308

/**
 * A score as `tokenizers` reads it: its JSON reader takes a number's digits as one integer, rounds that to a double, and
 * divides by a power of ten, which rounds again. Where two ways to write a word score alike, the last bit decides.
 *
 * [value] is what a reader gives that rounds once; its shortest digits are taken for those of the file.
 */
internal fun scoreOf(value: Double): Double {
    if (value == 0.0 || value.isNaN() || value.isInfinite()) return value
    val written = shortest(abs(value))
    val digits = written.unscaledValue().toDouble()
    val size = if (written.scale() > 0) divided(digits, written.scale()) else digits * powerOfTen(-written.scale())
    return if (value < 0) -size else size
}

/** The fewest digits that give [value]; Double.toString has one too many now and then before Java 19. */
private fun shortest(value: Double): BigDecimal {
    val written = BigDecimal(value.toString())
    if (written.precision() > ALWAYS_SHORTEST) {
        val shorter = written.round(MathContext(written.precision() - 1))
        if (shorter.toDouble() == value) return shorter.stripTrailingZeros()
    }
    return written.stripTrailingZeros()
}

private fun divided(digits: Double, places: Int) =
    if (places <= LARGEST_POWER) digits / powerOfTen(places) else digits / 1e308 / powerOfTen(places - LARGEST_POWER)

/** The double nearest to it. */
private fun powerOfTen(exponent: Int) = "1e$exponent".toDouble()
