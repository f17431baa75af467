package edgeformer.runtime.test

import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.EngineError
import edgeformer.runtime.ErrorCode
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.bundle.SigningKey
import edgeformer.runtime.bundle.sha256
import edgeformer.runtime.report.jsonText
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.file.Files
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.Signature
import java.util.Base64
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val NAME = "text-classification"

/** Bundles that are whole, and those that aren't, each with its code. */
class OpeningTest {
    @TempDir
    lateinit var folder: File

    private fun copy(): File =
        File(folder, "bundle-${System.nanoTime()}").also { Conformance.bundle(NAME).copyRecursively(it) }

    private fun codeOf(location: File, vararg keys: SigningKey): String =
        assertThrows(RuntimeBundleError::class.java) { Bundle.open(location, keys.toList(), folder).close() }.code.text

    @Test
    fun linksAndForeignFilesAreRefused() {
        val linked = copy()
        val model = File(linked, "variants/onnx/model.onnx").toPath()
        val elsewhere = File(folder, "elsewhere.onnx").toPath()
        Files.move(model, elsewhere)
        Files.createSymbolicLink(model, elsewhere)
        assertEquals("files", codeOf(linked))
        Files.delete(model)
        Files.createLink(model, elsewhere)
        assertEquals("files", codeOf(linked))
        assertEquals("not-a-bundle", codeOf(File(folder, "nothing")))
        val reported = copy()
        File(reported, "report.json").writeText("{}")
        Bundle.open(reported).close()
    }

    @Test
    fun whatChangesBehindTheOpeningIsNotUsed() {
        val directory = copy()
        Bundle.open(directory).use { bundle ->
            File(directory, "variants/onnx/model.onnx").appendText("x")
            fun code(use: () -> Unit) = assertThrows(RuntimeBundleError::class.java) { use() }.code
            assertEquals(ErrorCode.FILES, code { bundle.loadable("variants/onnx/model.onnx") {} })
            assertEquals(ErrorCode.FILES, code { bundle.read("variants/onnx/model.onnx") })
        }
    }

    private fun zipped(stored: Boolean = false, more: (ZipOutputStream) -> Unit = {}): ByteArray {
        val out = ByteArrayOutputStream()
        ZipOutputStream(out).use { zip ->
            val root = Conformance.bundle(NAME)
            for (file in root.walk().filter { it.isFile }.sorted()) {
                val entry = ZipEntry(file.relativeTo(root).path)
                if (stored) {
                    entry.method = ZipEntry.STORED
                    entry.size = file.length()
                    entry.crc = CRC32().apply { update(file.readBytes()) }.value
                }
                zip.putNextEntry(entry)
                zip.write(file.readBytes())
                zip.closeEntry()
            }
            more(zip)
        }
        return out.toByteArray()
    }

    private fun file(content: ByteArray) = File(folder, "bundle-${System.nanoTime()}.zip").apply { writeBytes(content) }

    @Test
    fun aZipIsUnpackedAndRemoved() {
        for (stored in listOf(true, false)) {
            val bundle = Bundle.open(file(zipped(stored)), emptyList(), folder)
            assertTrue(bundle.read("preprocess/tokenizer.json").isNotEmpty())
            assertTrue(bundle.directory.exists())
            bundle.close()
            assertFalse(bundle.directory.exists())
        }
    }

    @Test
    fun zipsThatArentPlainAreRefused() {
        val good = zipped()
        fun add(name: String, content: ByteArray): (ZipOutputStream) -> Unit = {
            it.putNextEntry(ZipEntry(name))
            it.write(content)
            it.closeEntry()
        }
        val cases = mapOf(
            "bytes before the first member" to ("zip" to byteArrayOf(1) + good),
            "a comment" to ("zip" to zipped { it.setComment("hello") }),
            "cut" to ("zip" to good.copyOf(good.size - 30)),
            "no zip" to ("zip" to "no zip at all, but long enough for one".toByteArray()),
            "a bomb" to ("zip" to zipped(more = add("variants/zeros.bin", ByteArray(64 shl 20)))),
            "a path that leaves" to ("path" to zipped(more = add("../outside", ByteArray(1)))),
            "two names for one file" to ("path" to zipped(more = add("Manifest.JSON", ByteArray(1)))),
            "an unlisted file" to ("files" to zipped(more = add("variants/more.onnx", ByteArray(1)))),
        )
        for ((what, case) in cases) assertEquals(case.first, codeOf(file(case.second)), what)
        assertEquals(emptyList<String>(), folder.list()!!.filter { it.startsWith("edgeformer-") })
    }

    /** One as beyond 4 GiB, one with names of old. Python says what becomes of them. */
    @Test
    fun unusualZipsAreReadAsPythonDoes() {
        val script = """
            import sys, zipfile
            from pathlib import Path
            from edgeformer_runtime import Bundle
            from edgeformer_runtime.errors import RuntimeBundleError
            source, folder = Path(sys.argv[1]), Path(sys.argv[2])
            for name, limit, member in (("large", 0, None), ("large-odd", 0, "ü"), ("old", 1 << 31, b"\x81")):
                zipfile.ZIP64_LIMIT = limit
                with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
                    for path in sorted(source.rglob("*")):
                        if path.is_file():
                            archive.write(path, path.relative_to(source).as_posix())
                    if member:
                        archive.writestr("xx" if isinstance(member, bytes) else member, b"1")
                content = (folder / f"{name}.zip").read_bytes()
                content = content.replace(b"xx", member * 2) if isinstance(member, bytes) else (
                    content[:-14] + b"\xff" * 4 + content[-10:])  # how many members: in the record of large ones
                (folder / f"{name}.zip").write_bytes(content)
                try:
                    with Bundle.open(folder / f"{name}.zip") as bundle:
                        print(name, bundle.digest)
                except RuntimeBundleError as error:
                    print(name, error.code)
        """.trimIndent()
        val told = Python.run("-c", script, Conformance.bundle(NAME).path, folder.path).trim().lines()
        assertEquals(3, told.size)
        for (line in told) {
            val (name, expected) = line.split(' ')
            val found = try {
                Bundle.open(File(folder, "$name.zip"), emptyList(), folder).use { it.digest }
            } catch (error: RuntimeBundleError) {
                error.code.text
            }
            assertEquals(expected, found, name)
        }
        assertTrue("large ${Bundle.open(Conformance.bundle(NAME)).use { it.digest }}" in told, told.toString())
    }

    @Test
    fun aFolderWithoutRoomOrRightsIsAnErrorOfOurs() {
        val nowhere = File(folder, "file").apply { writeText("not a folder") }
        val error = assertThrows(EdgeformerError::class.java) { Bundle.open(file(zipped()), emptyList(), nowhere) }
        assertTrue("can't make the folder" in error.message!!, error.message)
        Bundle.open(copy(), emptyList(), nowhere).use { bundle ->
            assertThrows(EngineError::class.java) { bundle.loadable("variants/onnx/model.onnx") {} }
        }
    }

    @Test
    fun flippedBitsOfAZipNeverPass() {
        val good = zipped()
        val whole = Bundle.open(file(good), emptyList(), folder).use { it.digest }
        for (at in good.indices step 7) {
            val bad = good.copyOf()
            bad[at] = (bad[at].toInt() xor 4).toByte()
            try {
                Bundle.open(file(bad), emptyList(), folder).use { assertEquals(whole, it.digest) } // a date, perhaps
            } catch (_: RuntimeBundleError) {
                // what is expected of most
            }
        }
    }

    private fun pem(pair: KeyPair) =
        "-----BEGIN PUBLIC KEY-----\n${Base64.getMimeEncoder().encodeToString(pair.public.encoded)}\n-----END PUBLIC " +
            "KEY-----\n"

    private fun sign(directory: File, pair: KeyPair) {
        val content = File(directory, "manifest.json").readBytes()
        val signature = Signature.getInstance("Ed25519").run {
            initSign(pair.private)
            update(content)
            sign()
        }
        val text = mapOf(
            "format_version" to 1, "algorithm" to "ed25519", "key_id" to sha256(pair.public.encoded),
            "signature" to Base64.getEncoder().encodeToString(signature),
        )
        File(directory, "manifest.sig").writeText(jsonText(text))
    }

    @Test
    fun signatures() {
        val (own, other) = List(2) { KeyPairGenerator.getInstance("Ed25519").generateKeyPair() }
        val key = SigningKey(pem(own))
        val bundle = copy()
        assertEquals("signature", codeOf(bundle, key)) // none there
        sign(bundle, own)
        assertEquals(key.id, Bundle.open(bundle, listOf(SigningKey(pem(other)), key)).use { it.signedBy })
        assertEquals("signature", codeOf(bundle, SigningKey(pem(other))))
        File(bundle, "manifest.sig").let { it.writeText(it.readText().replace("ed25519", "none")) }
        assertEquals("signature", codeOf(bundle, key))
        sign(bundle, own)
        val manifest = File(bundle, "manifest.json")
        val text = manifest.readText()
        manifest.writeText(text.substring(83).let { "{\n$it" }) // still a manifest, without its checksum
        assertEquals("signature", codeOf(bundle, key))
        assertThrows(InputError::class.java) { SigningKey("no key") }
        val rsa = KeyPairGenerator.getInstance("RSA").generateKeyPair()
        assertThrows(InputError::class.java) { SigningKey(pem(rsa)) }
    }

    @Test
    fun whatPythonSignedPasses() {
        val bundle = copy()
        val script = "import sys\nfrom edgeformer_runtime.bundle.signing import *\nfrom " +
            "cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey\n" +
            "from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat\nfrom pathlib import " +
                "Path\n" +
            "key = Ed25519PrivateKey.generate()\npublic = key.public_key()\nfolder = Path(sys.argv[1])\n" +
            "content = (folder / 'manifest.json').read_bytes()\n(folder / " +
                "'manifest.sig').write_text(signature_text(key_id_of(public), key.sign(content)))\n" +
            "print(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())"
        val key = SigningKey(Python.run("-c", script, bundle.path))
        assertEquals(key.id, Bundle.open(bundle, listOf(key)).use { it.signedBy })
    }

}
