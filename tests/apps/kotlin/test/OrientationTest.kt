package edgeformer.runtime.test

import edgeformer.runtime.android.image.upright
import edgeformer.runtime.image.Picture
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Test

/** The eight orientations of EXIF. */
class OrientationTest {
    private val stored = picture("abc", "def")

    private fun picture(vararg rows: String) =
        Picture(rows[0].length, rows.size, rows.joinToString("").map { it.code }.toIntArray())

    private fun seen(orientation: Int): List<String> =
        upright(stored, orientation).let { it.argb.map(Int::toChar).joinToString("").chunked(it.width) }

    @Test
    fun everyOrientationIsTurnedAsItSays() {
        assertSame(stored, upright(stored, 1))
        assertEquals(listOf("cba", "fed"), seen(2)) // mirrored
        assertEquals(listOf("fed", "cba"), seen(3)) // by 180°
        assertEquals(listOf("def", "abc"), seen(4)) // upside down, mirrored
        assertEquals(listOf("ad", "be", "cf"), seen(5)) // along the main diagonal
        assertEquals(listOf("da", "eb", "fc"), seen(6)) // clockwise, as a phone held upright stores it
        assertEquals(listOf("fc", "eb", "da"), seen(7)) // along the other diagonal
        assertEquals(listOf("cf", "be", "ad"), seen(8)) // anticlockwise
    }

    @Test
    fun whatExifDoesntKnowLeavesThePictureAsItIs() {
        for (orientation in listOf(0, -1, 9)) assertSame(stored, upright(stored, orientation))
    }
}
