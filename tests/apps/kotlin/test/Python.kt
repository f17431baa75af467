package edgeformer.runtime.test

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals

/** The Python runtime of this checkout, which the Kotlin one is compared with. */
internal object Python {
    private val python = System.getenv("EDGEFORMER_PYTHON")
        ?: error("EDGEFORMER_PYTHON: expected the Python of the checkout's environment")

    /** Standard output of a call that must succeed. */
    fun run(vararg arguments: String): String {
        val process = ProcessBuilder(python, *arguments).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        val output = process.inputStream.readBytes().toString(Charsets.UTF_8)
        assertEquals(0, process.waitFor(), "${arguments.toList()} failed: $output")
        return output
    }
}

/** The conformance bundle [name] in [folder], whose manifest [change] changes; it has no checksum then. */
internal fun changed(name: String, folder: File, change: (MutableMap<String, Any?>) -> Unit): File {
    Conformance.bundle(name).copyRecursively(folder)
    val file = File(folder, "manifest.json")
    val manifest = LinkedHashMap(obj(edgeformer.runtime.bundle.readJson(file.readBytes())))
    manifest.remove("checksum")
    change(manifest)
    file.writeText(edgeformer.runtime.report.jsonText(manifest))
    return folder
}
