package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import java.io.File
import java.io.InputStream
import java.security.MessageDigest

private const val BLOCK_BYTES = 1 shl 16
private const val MAX_FOUND = 10_000
private const val TYPE_BITS = 0xf000
private const val REGULAR = 0x8000
private const val FOLDER = 0x4000
private const val LINK = 0xa000

/** What a name stands for, links not followed. [names]: how many names share the content; null where nobody says. */
internal class FileStatus(private val mode: Int, val names: Int?) {
    val isFolder get() = mode and TYPE_BITS == FOLDER
    val isLink get() = mode and TYPE_BITS == LINK
    val isRegular get() = mode and TYPE_BITS == REGULAR
}

/**
 * The status of [file], links not followed: of Android's `Os.lstat` (API 21), or java.nio.file, which Android has from
 * API 26 on. Both by reflection, since neither is everywhere.
 */
internal fun statusOf(file: File): FileStatus = (STATUS_BY_ANDROID ?: STATUS_BY_NIO)(file)

private val STATUS_BY_ANDROID: ((File) -> FileStatus)? = try {
    val lstat = Class.forName("android.system.Os").getMethod("lstat", String::class.java)
    val stat = Class.forName("android.system.StructStat")
    val mode = stat.getField("st_mode")
    val names = stat.getField("st_nlink")
    if (System.getProperty("java.vm.name") != "Dalvik") null // a stub of android.jar
    else { file -> lstat.invoke(null, file.path).let { FileStatus(mode.getInt(it), names.getLong(it).toInt()) } }
} catch (_: ReflectiveOperationException) {
    null
}

private val STATUS_BY_NIO: (File) -> FileStatus by lazy {
    val path = Class.forName("java.nio.file.Path")
    val option = Class.forName("java.nio.file.LinkOption")
    val options = java.lang.reflect.Array.newInstance(option, 1)
    java.lang.reflect.Array.set(options, 0, option.getField("NOFOLLOW_LINKS").get(null))
    val read = Class.forName("java.nio.file.Files")
        .getMethod("readAttributes", path, String::class.java, options.javaClass)
    val toPath = File::class.java.getMethod("toPath")
    fun attributes(file: File, names: String) = read.invoke(null, toPath.invoke(file), names, options) as Map<*, *>
    return@lazy { file ->
        if (File.separatorChar == '/') {
            val found = attributes(file, "unix:mode,nlink")
            FileStatus(found["mode"] as Int, found["nlink"] as Int)
        } else {
            val found = attributes(file, "isRegularFile,isDirectory,isSymbolicLink")
            FileStatus(
                when (true) {
                    found["isSymbolicLink"] -> LINK
                    found["isDirectory"] -> FOLDER
                    found["isRegularFile"] -> REGULAR
                    else -> 0
                },
                null,
            )
        }
    }
}

internal fun filesError(message: String): Nothing = throw RuntimeBundleError(message, ErrorCode.FILES)

/** Raise RuntimeBundleError, code `files`, unless [file] is a regular file with one name. */
internal fun checkPlain(file: File, relative: String) {
    val status = statusOf(file)
    if (status.isLink) filesError("bundle: '$relative' is a symbolic link: expected a regular file")
    if (!status.isRegular) filesError("bundle: '$relative' is a device, pipe or socket: expected a regular file")
    if ((status.names ?: 1) > 1) {
        filesError(
            "bundle: '$relative' is a hard link, so it can change from outside the bundle: expected a regular file"
        )
    }
}

/** The content of a regular file of at most [maxBytes]. */
internal fun readPlain(file: File, relative: String, maxBytes: Int): ByteArray {
    checkPlain(file, relative)
    if (file.length() > maxBytes) {
        filesError(
            "bundle: '$relative' has ${file.length()} bytes: expected at most $maxBytes. It is damaged or was made " +
                "to do harm"
        )
    }
    return file.inputStream().use { it.readBytes() }
}

/** Every file under [directory] by relative POSIX path, with its size; refuses links and other non-files. */
internal fun scanFiles(directory: File): Map<String, Long> {
    val found = LinkedHashMap<String, Long>()
    var folders = 0
    fun scan(folder: File, prefix: String, depth: Int) {
        for (file in folder.listFiles() ?: filesError("bundle $directory: '$prefix' can't be listed")) {
            val relative = prefix + file.name
            if (statusOf(file).isFolder) {
                folders++
                if (depth >= MAX_PATH_PARTS) filesError("bundle $directory: has folders more than $MAX_PATH_PARTS deep")
                scan(file, "$relative/", depth + 1)
            } else {
                checkPlain(file, relative)
                found[relative] = file.length()
            }
            if (found.size > MAX_FOUND || folders > MAX_FOUND) {
                filesError("bundle $directory: holds more than $MAX_FOUND files or folders")
            }
        }
    }
    scan(directory, "", 1)
    return found
}

/**
 * Give the content of [source] to [write], block by block, hashed as it is read.
 *
 * Raises RuntimeBundleError, code `files`, unless it has the size and the hash of [entry].
 */
internal fun copyChecked(
    source: InputStream,
    entry: FileEntry,
    where: String,
    write: (ByteArray, Int) -> Unit = { _, _ -> },
) {
    val digest = MessageDigest.getInstance("SHA-256")
    val block = ByteArray(BLOCK_BYTES)
    var done = 0L
    while (done <= entry.bytes) {
        val count = source.read(block)
        if (count < 0) break
        done += count
        digest.update(block, 0, count)
        if (done <= entry.bytes) write(block, count)
    }
    val found = hex(digest.digest())
    if (done != entry.bytes || found != entry.sha256) {
        filesError(
            "$where: '${entry.path}': expected ${entry.bytes} bytes of SHA-256 ${entry.sha256}, got " +
                (if (done > entry.bytes) "more" else "$done of $found") +
                ": the file is damaged or altered, copy the bundle again"
        )
    }
}

internal fun hex(bytes: ByteArray): String = buildString(2 * bytes.size) {
    for (byte in bytes) {
        append("0123456789abcdef"[byte.toInt() shr 4 and 15]).append("0123456789abcdef"[byte.toInt() and 15])
    }
}

internal fun sha256(bytes: ByteArray): String = hex(MessageDigest.getInstance("SHA-256").digest(bytes))
