package edgeformer.runtime.bundle

import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.EngineError
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import java.io.Closeable
import java.io.File
import java.io.IOException

/**
 * A verified bundle on disk: format version, fields, paths, checksum, signature where keys are given, kinds of file,
 * sizes and SHA-256 were checked before anything else sees a byte of it.
 *
 * [digest]: SHA-256 of manifest.json in hexadecimal. [signedBy]: id of the key that its signature was checked with.
 */
class Bundle private constructor(
    val directory: File,
    val manifest: Manifest,
    val digest: String,
    val signedBy: String?,
    private val temporary: File,
    private val unpacked: File?,
) : Closeable {
    /** The content of one file of the manifest, hashed as it is read; raises RuntimeBundleError. */
    fun read(relative: String): ByteArray {
        val entry = manifest.files.firstOrNull { it.path == relative }
            ?: throw RuntimeBundleError("bundle '${manifest.name}': '$relative' is not among its files")
        val content = ByteArray(entry.bytes.toInt())
        var done = 0
        copy(entry) { block, count ->
            block.copyInto(content, done, 0, count)
            done += count
        }
        return content
    }

    /**
     * Call [use] with a private copy of one model file: what an engine loads is what was hashed, also where others can
     * write into the bundle's folder. The copy goes when [use] ends, unless an engine holds the file open.
     */
    internal fun <T> loadable(relative: String, use: (File) -> T): T {
        val entry = manifest.files.firstOrNull { it.path == relative }
            ?: throw RuntimeBundleError(
                "bundle '${manifest.name}': '$relative' is a folder: this runtime loads single files"
            )
        val folder = newFolder(temporary, "edgeformer-model")
        try {
            val file = File(folder, relative.substringAfterLast('/'))
            if (folder.usableSpace < entry.bytes) throw noRoom(entry, null)
            file.outputStream().use { out ->
                copy(entry) { block, count ->
                    try {
                        out.write(block, 0, count)
                    } catch (error: IOException) {
                        throw noRoom(entry, error)
                    }
                }
            }
            return use(file)
        } finally {
            folder.deleteRecursively()
        }
    }

    private fun noRoom(entry: FileEntry, error: IOException?) = EngineError(
        "bundle '${manifest.name}': no room for a copy of '${entry.path}', ${entry.bytes} bytes, in $temporary, " +
            "which has ${temporary.usableSpace} free (${error ?: "checked before"}): make room, or name another folder",
        error,
    )

    private fun copy(entry: FileEntry, write: (ByteArray, Int) -> Unit) {
        val file = File(directory, entry.path)
        try {
            checkPlain(file, entry.path)
            file.inputStream().use { copyChecked(it, entry, "bundle $directory", write) }
        } catch (error: EdgeformerError) {
            throw error
        } catch (error: Exception) { // IOException, and what reflection wraps one in
            throw RuntimeBundleError(
                "bundle $directory: '${entry.path}' can't be read: $error: open it again", ErrorCode.FILES, error
            )
        }
    }

    /** Remove the unpacked copy of a .zip. Calling it twice is harmless. */
    override fun close() {
        unpacked?.deleteRecursively()
    }

    companion object {
        /**
         * Open and verify a bundle directory, or a .zip of one, which is unpacked below [temporary] until it is closed.
         *
         * [keys]: the bundle must be signed with one of them; none: no signature is looked at. [temporary]: a folder
         * that only this app can write to, as `Context.getCacheDir()` is. Raises RuntimeBundleError.
         */
        fun open(
            location: File,
            keys: List<SigningKey> = emptyList(),
            temporary: File = File(System.getProperty("java.io.tmpdir").orEmpty()),
        ): Bundle {
            if (location.isDirectory) return openDirectory(location, keys, temporary, null)
            if (!location.isFile) {
                notABundle("bundle $location: nothing is there: expected a bundle directory or a .zip of one")
            }
            val folder = newFolder(temporary, "edgeformer-bundle")
            try {
                unzip(location, folder)
                return openDirectory(folder, keys, temporary, folder)
            } catch (error: Throwable) {
                folder.deleteRecursively()
                throw error
            }
        }

        private fun openDirectory(directory: File, keys: List<SigningKey>, temporary: File, unpacked: File?): Bundle {
            val file = File(directory, MANIFEST_NAME)
            if (!file.exists()) {
                notABundle(
                    "bundle $directory: has no $MANIFEST_NAME: expected a directory written by `edgeformer compile`"
                )
            }
            try {
                val content = readPlain(file, MANIFEST_NAME, MAX_MANIFEST_BYTES)
                val manifest = readManifest(content)
                val signedBy = verifySignature(directory, content, keys)
                val where = "bundle $directory"
                checkListing(where, scanFiles(directory), manifest)
                for (entry in manifest.files) {
                    File(directory, entry.path).inputStream().use { copyChecked(it, entry, where) }
                }
                return Bundle(directory.absoluteFile, manifest, sha256(content), signedBy, temporary, unpacked)
            } catch (error: EdgeformerError) {
                throw error
            } catch (error: Exception) { // IOException, and what reflection wraps one in
                throw RuntimeBundleError("bundle $directory: can't be read: $error", ErrorCode.FILES, error)
            }
        }

        private fun notABundle(message: String): Nothing = throw RuntimeBundleError(message, ErrorCode.NOT_A_BUNDLE)
    }
}

/** A new folder in [parent] that only this user may look into. */
private fun newFolder(parent: File, prefix: String): File {
    val folder = File(parent, "$prefix-${java.util.UUID.randomUUID()}")
    if (!folder.mkdirs()) throw EngineError("can't make the folder $folder: name one that this app may write to")
    folder.setReadable(false, false)
    folder.setReadable(true, true)
    folder.setExecutable(false, false)
    folder.setExecutable(true, true)
    folder.setWritable(false, false)
    folder.setWritable(true, true)
    return folder
}
