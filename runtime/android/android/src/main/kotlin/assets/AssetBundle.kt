package edgeformer.runtime.android.assets

import android.content.Context
import android.os.StatFs
import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.android.isMainThread
import edgeformer.runtime.android.refuseMainThread
import edgeformer.runtime.bundle.MANIFEST_NAME
import edgeformer.runtime.bundle.MAX_MANIFEST_BYTES
import edgeformer.runtime.bundle.MAX_SIGNATURE_BYTES
import edgeformer.runtime.bundle.Manifest
import edgeformer.runtime.bundle.SIGNATURE_NAME
import edgeformer.runtime.bundle.copyChecked
import edgeformer.runtime.bundle.readManifest
import edgeformer.runtime.bundle.sha256
import java.io.File
import java.io.FileNotFoundException
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.RandomAccessFile
import java.util.concurrent.CancellationException

private const val PARTIAL = ".partial"
private const val LOCK_NAME = "lock"
private val COPY_NAME = Regex("[0-9a-f]{64}($PARTIAL)?")
private val LOCK = Any()

/** The copy of a bundle needs [neededBytes] where [freeBytes] are free. */
class NoSpaceError(message: String, val neededBytes: Long, val freeBytes: Long, cause: Throwable? = null) :
    EdgeformerError(message, cause)

/**
 * A bundle in an app's assets. Engines load a model by its path, and an asset has none: so the bundle is copied once,
 * to a folder of `noBackupFilesDir` that is named by the SHA-256 of its manifest.json.
 *
 * The copy is made beside its place and renamed when it is whole and hashed, so that one that was interrupted is never
 * opened; what is left of it, and copies of other releases of this bundle, go before the next one is made.
 */
class AssetBundle internal constructor(
    private val assets: AssetSource,
    private val folder: String,
    private val home: File,
    private val freeBytes: (File) -> Long,
    private val isForbiddenThread: () -> Boolean,
) {
    /** The bundle at `assets/`[folder], as "news" or "models/news". */
    constructor(context: Context, folder: String) : this(
        AppAssets(context.assets, folder),
        folder,
        File(context.noBackupFilesDir, "edgeformer/assets/$folder"),
        { StatFs(it.path).availableBytes },
        ::isMainThread,
    )

    /** What somebody who packs the app should know; filled by [directory]. */
    @Volatile
    var notes: List<String> = emptyList()
        private set

    /**
     * The folder of the copy, for `Session.open`, which hashes every file again. Made when it isn't there, which takes
     * about as long as writing its bytes. [isCancelled] is asked between blocks; saying yes raises
     * CancellationException.
     *
     * Raises NoSpaceError, RuntimeBundleError, and InputError on the main thread.
     */
    fun directory(isCancelled: () -> Boolean = { false }): File {
        refuseMainThread("copying the bundle assets/$folder", isForbiddenThread)
        if (!home.isDirectory && !home.mkdirs()) throw unwritable(null)
        return synchronized(LOCK) { // a file lock holds among processes alone
            try {
                RandomAccessFile(File(home, LOCK_NAME), "rw").use { lock ->
                    lock.channel.lock().use { found(isCancelled) }
                }
            } catch (error: IOException) {
                throw unwritable(error)
            }
        }
    }

    /** Remove the copy, for instance one that failing storage has damaged: [directory] makes another one. */
    fun remove() {
        synchronized(LOCK) { home.deleteRecursively() }
    }

    private fun found(isCancelled: () -> Boolean): File {
        val content = small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
            ?: fail("has no $MANIFEST_NAME: expected a bundle that `edgeformer compile` wrote", ErrorCode.NOT_A_BUNDLE)
        val manifest = readManifest(content)
        val target = File(home, sha256(content))
        val isWhole = File(target, MANIFEST_NAME).isFile &&
            manifest.files.all { File(target, it.path).length() == it.bytes }
        for (old in home.listFiles().orEmpty()) {
            if (COPY_NAME.matches(old.name) && !(isWhole && old.name == target.name)) old.deleteRecursively()
        }
        if (isWhole) return target
        checkSpace(manifest.files.sumOf { it.bytes } + content.size, null)
        val partial = File(home, target.name + PARTIAL)
        try {
            write(partial, manifest, content, isCancelled)
            if (!partial.renameTo(target)) throw IOException("can't rename $partial")
        } finally {
            partial.deleteRecursively()
        }
        return target
    }

    private fun write(partial: File, manifest: Manifest, content: ByteArray, isCancelled: () -> Boolean) {
        val compressed = ArrayList<String>()
        var leftBytes = manifest.files.sumOf { it.bytes }
        try {
            for (entry in manifest.files) {
                val asset = opened(entry.path)
                    ?: fail("'${entry.path}' is missing: add the whole bundle to the app", ErrorCode.FILES)
                if (asset.isCompressed) compressed += entry.path
                asset.content.use { source ->
                    synced(File(partial, entry.path)) { out ->
                        copyChecked(source, entry, "assets/$folder") { block, count ->
                            if (isCancelled()) throw CancellationException("copying assets/$folder was cancelled")
                            out.write(block, 0, count)
                            leftBytes -= count
                        }
                    }
                }
            }
            small(SIGNATURE_NAME, MAX_SIGNATURE_BYTES)?.let { signature ->
                synced(File(partial, SIGNATURE_NAME)) { it.write(signature) }
            }
            synced(File(partial, MANIFEST_NAME)) { it.write(content) }
        } catch (error: IOException) {
            checkSpace(leftBytes, error) // something else filled the disk meanwhile
            throw error
        }
        notes = if (compressed.isEmpty()) emptyList() else listOf(compressedNote(compressed))
    }

    private fun compressedNote(paths: List<String>): String {
        val endings = paths.map { "\"${it.substringAfterLast('.')}\"" }.distinct().sorted().joinToString()
        return "assets/$folder: ${paths.size} files, ${paths[0]} for one, are compressed in the app: they were " +
            "unpacked. To copy them faster, at the price of a larger APK, add to build.gradle.kts: " +
            "androidResources { noCompress += listOf($endings) }"
    }

    private fun checkSpace(neededBytes: Long, cause: Throwable?) {
        val free = freeBytes(home)
        if (free >= neededBytes) return
        throw NoSpaceError(
            "assets/$folder: copying it needs $neededBytes bytes in $home, $free are free: free some, and try again",
            neededBytes,
            free,
            cause,
        )
    }

    private fun opened(path: String): Asset? = try {
        assets.open(path)
    } catch (_: FileNotFoundException) {
        null
    }

    /** The content of a small asset; null where there is none. */
    private fun small(path: String, maxBytes: Int): ByteArray? =
        opened(path)?.content?.use { atMost(it, path, maxBytes) }

    private fun atMost(source: InputStream, path: String, maxBytes: Int): ByteArray {
        val content = java.io.ByteArrayOutputStream()
        val block = ByteArray(1 shl 16)
        while (true) {
            val count = source.read(block)
            if (count < 0) return content.toByteArray()
            content.write(block, 0, count)
            if (content.size() > maxBytes) {
                fail("'$path' has more than $maxBytes bytes: it is damaged or was made to do harm", ErrorCode.FILES)
            }
        }
    }

    private fun synced(file: File, write: (FileOutputStream) -> Unit) {
        file.parentFile!!.mkdirs()
        FileOutputStream(file).use {
            write(it)
            it.fd.sync() // before the rename that says that it is whole
        }
    }

    private fun fail(problem: String, code: ErrorCode): Nothing =
        throw RuntimeBundleError("assets/$folder: $problem", code)

    private fun unwritable(cause: Throwable?) = RuntimeBundleError(
        "assets/$folder: can't be copied to $home: ${cause ?: "the folder can't be made"}",
        ErrorCode.FILES,
        cause,
    )
}
