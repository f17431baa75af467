package edgeformer.runtime.bundle

private const val MAX_REPORT_BYTES = 64L shl 20

/** Files for people, which may lie beside those of the manifest, and how large they may be. */
private val UNLISTED = mapOf(
    "report.html" to MAX_REPORT_BYTES,
    "report.json" to MAX_REPORT_BYTES,
    SIGNATURE_NAME to MAX_SIGNATURE_BYTES.toLong(),
)

/** Raise RuntimeBundleError unless [sizes], {path: bytes} of what is there, are the files of [manifest]. */
internal fun checkListing(where: String, sizes: Map<String, Long>, manifest: Manifest) {
    val listed = manifest.files.associateBy { it.path }
    val present = sizes.keys - MANIFEST_NAME
    checkDistinct(present, where)
    (listed.keys - present).minOrNull()?.let {
        filesError("$where: '$it' is missing: the copy is incomplete, copy the bundle again")
    }
    for ((name, limit) in UNLISTED) {
        val bytes = sizes[name] ?: 0
        if (name !in listed && bytes > limit) {
            filesError(
                "$where: '$name' has $bytes bytes: expected at most $limit. The bundle works without it: move it " +
                    "elsewhere"
            )
        }
    }
    (present - listed.keys - UNLISTED.keys).minOrNull()?.let {
        filesError("$where: '$it' is not in $MANIFEST_NAME: expected only files of the bundle. Move it elsewhere")
    }
    for ((path, entry) in listed) {
        if (sizes[path] != entry.bytes) {
            filesError(
                "$where: '$path': expected ${entry.bytes} bytes, got ${sizes[path]}: the file is damaged or altered"
            )
        }
    }
}
