package edgeformer.runtime.test

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.Session
import edgeformer.runtime.android.assets.Asset
import edgeformer.runtime.android.assets.AssetBundle
import edgeformer.runtime.android.assets.AssetSource
import edgeformer.runtime.android.assets.NoSpaceError
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.CancellationException
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val NAME = "text-classification"
private const val MODEL = "variants/onnx/model.onnx"

/** Copying a bundle out of an app, with everything that goes wrong on phones. */
class AssetBundleTest {
    @TempDir
    lateinit var folder: File
    private val home get() = File(folder, "home")
    private val opened = AtomicInteger()

    /** The folder [from] as assets; [change] may put something else in a file's place. */
    private fun assets(
        from: File = Conformance.bundle(NAME),
        change: (String, InputStream) -> Asset = { _, it -> Asset(it, false) },
    ) = AssetSource { path ->
        opened.incrementAndGet()
        val file = File(from, path)
        if (!file.isFile) throw FileNotFoundException(path)
        change(path, file.inputStream())
    }

    private fun bundle(source: AssetSource = assets(), freeBytes: Long = Long.MAX_VALUE, isMain: Boolean = false) =
        AssetBundle(source, "news", home, { freeBytes }, { isMain })

    private fun copies() = home.list()!!.filter { it != "lock" }

    /** A process that ended in the midst: what it wrote stays, and nothing cleans up. */
    private fun interrupted(source: AssetSource) {
        val broken = AssetSource { path ->
            if (path == MODEL) {
                for (made in copies()) File(home, made).copyRecursively(File(folder, "crash/$made"), true)
                throw IOException("the process ends here")
            }
            source.open(path)
        }
        assertThrows(RuntimeBundleError::class.java) { bundle(broken).directory() }
        File(folder, "crash").copyRecursively(home, true)
    }

    @Test
    fun theCopyIsMadeOnceAndOpens() {
        val first = bundle().directory()
        assertEquals(listOf(first.name), copies())
        assertTrue(Regex("[0-9a-f]{64}").matches(first.name))
        Session.open(first).use { assertEquals(first.name, it.digest) }
        opened.set(0)
        assertEquals(first, bundle().directory())
        assertEquals(1, opened.get(), "the manifest alone is read again")
    }

    @Test
    fun whatLiesCompressedIsCopiedAndSaid() {
        val some = bundle(assets { path, it -> Asset(it, path.endsWith(".onnx") || path.endsWith(".json")) })
        Session.open(some.directory()).close()
        assertTrue("noCompress += listOf(\"json\", \"onnx\")" in some.notes.single(), some.notes.toString())
        val none = bundle().also { it.remove() }
        none.directory()
        assertEquals(emptyList<String>(), none.notes)
    }

    @Test
    fun withoutSpaceNothingIsWritten() {
        val error = assertThrows(NoSpaceError::class.java) { bundle(freeBytes = 100).directory() }
        val bytes = Conformance.bundle(NAME).walk().filter { it.isFile }.sumOf { it.length() }
        assertEquals(bytes, error.neededBytes)
        assertEquals(100, error.freeBytes)
        assertEquals(emptyList<String>(), copies())
    }

    @Test
    fun aDiskThatFillsWhileCopyingIsNoSpaceToo() {
        var free = Long.MAX_VALUE
        val source = assets { path, it ->
            if (path != MODEL) Asset(it, false) else {
                free = 0
                throw IOException("ENOSPC")
            }
        }
        val filling = AssetBundle(source, "news", home, { free }, { false })
        val error = assertThrows(NoSpaceError::class.java) { filling.directory() }
        assertTrue(error.neededBytes > 0 && error.cause is IOException)
        assertEquals(emptyList<String>(), copies())
        Session.open(bundle().directory()).close()
    }

    @Test
    fun anInterruptedCopyIsNeverOpenedAndGoesAtTheNextStart() {
        interrupted(assets())
        assertTrue(copies().single().endsWith(".partial"), copies().toString())
        val made = bundle().directory()
        assertEquals(listOf(made.name), copies())
        Session.open(made).close()
    }

    @Test
    fun otherReleasesOfTheBundleGo() {
        val old = bundle().directory()
        val newer = changed(NAME, File(folder, "newer")) { it["producer"] = "a later release" }
        interrupted(assets(newer))
        val made = bundle(assets(newer)).directory()
        assertFalse(old.exists())
        assertEquals(listOf(made.name), copies())
    }

    @Test
    fun aDamagedCopyIsMadeAnewWhereItsSizesTellOrItIsRemoved() {
        val made = bundle().directory()
        File(made, MODEL).appendText("x")
        Session.open(bundle().directory()).close()
        File(made, MODEL).let { file -> file.writeBytes(ByteArray(file.length().toInt())) }
        assertThrows(RuntimeBundleError::class.java) { Session.open(bundle().directory()) }
        bundle().remove()
        Session.open(bundle().directory()).close()
    }

    @Test
    fun damagedAndMissingAssetsAreRefused() {
        fun code(source: AssetSource) = assertThrows(RuntimeBundleError::class.java) { bundle(source).directory() }.code
        val other = assets { path, it -> Asset(if (path == MODEL) "other".byteInputStream() else it, false) }
        assertEquals(ErrorCode.FILES, code(other))
        val missing = AssetSource { path -> if (path == MODEL) throw FileNotFoundException() else assets().open(path) }
        assertEquals(ErrorCode.FILES, code(missing))
        assertEquals(ErrorCode.NOT_A_BUNDLE, code { throw FileNotFoundException(it) })
        assertEquals(ErrorCode.JSON, code(assets { _, _ -> Asset("{".byteInputStream(), false) }))
        assertEquals(ErrorCode.FILES, code(assets { _, _ -> Asset(endless(), false) }))
        assertEquals(emptyList<String>(), copies())
    }

    private fun endless() = object : InputStream() {
        override fun read() = 'x'.code
    }

    @Test
    fun cancellingLeavesNothing() {
        var asked = 0
        assertThrows(CancellationException::class.java) { bundle().directory { ++asked > 1 } }
        assertEquals(emptyList<String>(), copies())
    }

    @Test
    fun theMainThreadAndAFolderThatCantBeMadeAreRefused() {
        val error = assertThrows(InputError::class.java) { bundle(isMain = true).directory() }
        assertTrue("main thread" in error.message!!)
        home.parentFile.mkdirs()
        home.writeText("a file")
        assertEquals(ErrorCode.FILES, assertThrows(RuntimeBundleError::class.java) { bundle().directory() }.code)
    }

    @Test
    fun threadsShareOneCopy() {
        val pool = Executors.newFixedThreadPool(4)
        val found = List(8) { pool.submit<File> { bundle().directory() } }.map { it.get() }.toSet()
        pool.shutdown()
        assertEquals(1, found.size)
        val files = Conformance.bundle(NAME).walk().count { it.isFile }
        // eight manifests; every other file once, and the signature that isn't there
        assertEquals(8 + (files - 1) + 1, opened.get())
    }
}
