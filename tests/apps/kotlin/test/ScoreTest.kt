package edgeformer.runtime.test

import edgeformer.runtime.text.models.scoreOf
import kotlin.random.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Test

/** Scores of tokens, rounded twice as `tokenizers` rounds them. */
class ScoreTest {
    /** XLM-RoBERTa's "--": with its nearest double, "---" would be parted the other way round. */
    @Test
    fun roundsTheDigitsFirst() {
        assertEquals(-10.159613795476451, scoreOf(-10.159613795476453))
        assertNotEquals(-10.159613795476453, scoreOf(-10.159613795476453))
    }

    @Test
    fun isTheNumberItselfWhereItsDigitsAreExact() {
        for (value in listOf(0.0, -0.0, 5.0, -100.0, 1e22, 0.1, -12.4868190433345, 2e-3, 5e-324)) {
            assertEquals(value, scoreOf(value))
        }
    }

    /** Digits of every length: what Double.toString writes too many before Java 19 changes nothing. */
    @Test
    fun takesTheFewestDigits() {
        val random = Random(0)
        repeat(20_000) {
            val places = random.nextInt(1, 16)
            val digits = random.nextLong(1, 9_000_000_000_000_000)
            val value = "${digits}e-$places".toDouble()
            assertEquals(digits.toDouble() / "1e$places".toDouble(), scoreOf(value), "$digits, $places")
        }
    }
}
