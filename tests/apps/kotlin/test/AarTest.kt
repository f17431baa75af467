package edgeformer.runtime.test

import edgeformer.runtime.Session
import edgeformer.runtime.android.SessionLoader
import java.io.ByteArrayInputStream
import java.io.DataInputStream
import java.io.File
import java.util.zip.ZipInputStream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val JAVA_8 = 52

/** The AAR that an app adds, opened as a build would. */
class AarTest {
    private val files = unzipped(File(System.getenv("EDGEFORMER_AAR")).readBytes())
    private val classes = unzipped(files.getValue("classes.jar"))

    private fun unzipped(content: ByteArray): Map<String, ByteArray> =
        ZipInputStream(ByteArrayInputStream(content)).use { source ->
            generateSequence { source.nextEntry }.associate { it.name to source.readBytes() }
        }

    @Test
    fun itHasWhatAnAarMustHave() {
        assertEquals(setOf("AndroidManifest.xml", "classes.jar", "proguard.txt", "R.txt"), files.keys)
        assertTrue("android:minSdkVersion=\"23\"" in files.getValue("AndroidManifest.xml").decodeToString())
        assertTrue("-keep class ai.onnxruntime.**" in files.getValue("proguard.txt").decodeToString())
    }

    @Test
    fun everyClassRunsOnEveryAndroid() {
        val versions = classes.filterKeys { it.endsWith(".class") }.mapValues { (_, bytes) ->
            DataInputStream(ByteArrayInputStream(bytes)).run {
                assertEquals(0xcafebabe.toInt(), readInt())
                readUnsignedShort()
                readUnsignedShort()
            }
        }
        assertTrue(versions.size > 100)
        assertEquals(setOf(JAVA_8), versions.values.toSet())
        for (name in listOf("Session", "android/SessionLoader")) {
            assertTrue("edgeformer/runtime/$name.class" in versions)
        }
    }

    /** A Kotlin compiler reads the classes of the next minor version at most. */
    @Test
    fun appsOfKotlin22CanReadIt() {
        for (its in listOf(Session::class, SessionLoader::class)) {
            val metadata = its.java.getAnnotation(Metadata::class.java)
            assertEquals(listOf(2, 2), metadata.metadataVersion.take(2), its.java.name)
        }
    }

    @Test
    fun itHoldsNothingButTheRuntime() {
        val foreign = classes.keys.filterNot { it.startsWith("edgeformer/") || it.startsWith("META-INF/") }
        assertEquals(emptyList<String>(), foreign)
        assertFalse(classes.keys.any { it.endsWith(".so") })
        val table = File("runtime/unicode_table/unicode_table.txt").readBytes()
        assertTrue(table.contentEquals(classes.getValue("edgeformer/unicode_table.txt")))
    }
}
