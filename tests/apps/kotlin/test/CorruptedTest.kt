package edgeformer.runtime.test

import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Session
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.SigningKey
import edgeformer.runtime.bundle.readGolden
import edgeformer.runtime.textEncoder
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.RandomAccessFile
import java.lang.management.ManagementFactory
import java.nio.file.Files
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

private const val MAX_NS = 1_000_000_000L // of this thread
private const val MAX_BYTES = 256L shl 20 // of all objects that are made, also of those that are gone by then

/** Bundles that are damaged, altered or hostile have the code that every reader gives: tests/conformance/README.md. */
class CorruptedTest {
    @TempDir
    lateinit var folder: File

    private val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean

    @TestFactory
    fun corruptedBundlesHaveTheirCode(): List<DynamicTest> {
        val all = list(Conformance.json("corrupted.json")).map(::obj)
        assertTrue(all.size >= 60)
        return all.map { known ->
            val name = known["name"] as String
            DynamicTest.dynamicTest("$name: ${known["code"] ?: "sound"}") { check(known, File(folder, name)) }
        }
    }

    @Test
    fun aTokenizerThatIsntKnownIsRefusedWhenASessionIsOpened() {
        val all = list(Conformance.json("corrupted.json")).map(::obj)
            .filter { (it["name"] as String).startsWith("tokenizer_") }
        assertTrue(all.any { it["code"] == null } && all.any { it["code"] != null })
        for (known in all) {
            val name = known["name"] as String
            val found = try {
                Session.open(made(known, File(folder, name))).use { it.selfCheck.substringBeforeLast(':') }
            } catch (error: RuntimeBundleError) {
                error.code.text
            }
            assertEquals(known["code"] ?: "self-check: passed", found, name)
        }
    }

    private fun check(known: Map<String, Any?>, folder: File) {
        val bundle = made(known, folder)
        val unpacked = File(folder, "unpacked").apply { mkdir() }
        val keys = list(known["keys"] ?: emptyList<Any>())
            .map { SigningKey(File(Conformance.folder, "keys/$it").readText()) }
        val before = everything(folder)
        val (time, bytes) = listOf(threads.currentThreadCpuTime, threads.currentThreadAllocatedBytes)
        assertEquals(known["code"], codeOf(bundle, keys, unpacked))
        assertTrue(threads.currentThreadCpuTime - time < MAX_NS)
        assertTrue(threads.currentThreadAllocatedBytes - bytes < MAX_BYTES)
        assertEquals(before, everything(folder))
    }

    private fun everything(folder: File) =
        Files.walk(folder.toPath()).use { paths -> paths.map { it.toString() }.sorted().toList() }

    /** What opening it, and reading its golden rows and its tokenizer, ends with; null where it is sound. */
    private fun codeOf(bundle: File, keys: List<SigningKey>, unpacked: File): String? = try {
        Bundle.open(bundle, keys, unpacked).use {
            readGolden(it)
            textEncoder(it)
        }
        null
    } catch (error: RuntimeBundleError) {
        error.code.text
    }

    /** The bundle, or the .zip of one, in [folder]. */
    private fun made(known: Map<String, Any?>, folder: File): File {
        val source = File(Conformance.folder, known["bundle"] as String)
        val bundle = File(folder, source.name)
        source.copyRecursively(bundle)
        for (change in list(known["changes"]).map(::obj)) {
            apply(change, change["file"]?.let { File(bundle, it as String) } ?: bundle, File(folder, "outside"))
        }
        return bundle
    }

    private fun apply(change: Map<String, Any?>, file: File, outside: File) {
        when (change["change"]) {
            "delete" -> assertTrue(file.delete())
            "folder" -> {
                file.delete()
                assertTrue(file.mkdirs())
            }
            "link" -> {
                val to = change["to"] as String?
                if (to == null) Files.move(file.toPath(), outside.toPath()) else file.delete()
                Files.createSymbolicLink(file.toPath(), to?.let { File(it).toPath() } ?: outside.toPath())
            }
            "hard-link" -> Files.createLink(outside.toPath(), file.toPath())
            "grow" -> RandomAccessFile(file, "rw").use { it.setLength(change["bytes"] as Long) }
            else -> {
                val content = if (file.exists()) file.readBytes() else ByteArray(0)
                file.writeBytes(edited(content, list(change["edits"])))
            }
        }
    }

    /** [content] after each of (position, bytes deleted, text as Latin-1, times) in turn. */
    private fun edited(content: ByteArray, edits: List<Any?>): ByteArray = edits.fold(content) { bytes, edit ->
        val (at, deleted, text, times) = list(edit)
        val start = (at as Long).toInt()
        val out = ByteArrayOutputStream()
        out.write(bytes, 0, start)
        val inserted = (text as String).toByteArray(Charsets.ISO_8859_1)
        for (time in 0 until times as Long) out.write(inserted)
        val rest = start + (deleted as Long).toInt()
        out.write(bytes, rest, bytes.size - rest)
        out.toByteArray()
    }
}
