package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.InputError
import edgeformer.runtime.RuntimeBundleError
import java.io.File
import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.NoSuchAlgorithmException
import java.security.PublicKey
import java.security.Signature
import java.security.spec.X509EncodedKeySpec
import kotlin.io.encoding.Base64

internal const val SIGNATURE_NAME = "manifest.sig"
internal const val MAX_SIGNATURE_BYTES = 4096
private const val SIGNATURE_BYTES = 64

private fun refused(message: String): Nothing = throw RuntimeBundleError(message, ErrorCode.SIGNATURE)

/**
 * An Ed25519 public key that bundles may be signed with. [id]: SHA-256 of its DER form, in hexadecimal.
 *
 * [pem] is the text of a public key in PEM form. Raises InputError where it is none, and where this platform has no
 * Ed25519: Android before API 33, a JVM before 15.
 */
class SigningKey(pem: String) {
    val id: String
    private val key: PublicKey

    init {
        if ("PRIVATE KEY" in pem) {
            throw InputError("key: is a private key, which belongs on no device: give its public key")
        }
        val body = Regex("-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\\s]+)-----END PUBLIC KEY-----").find(pem)
            ?: throw InputError("key: not a public key in PEM form")
        try {
            val der = Base64.decode(body.groupValues[1].filterNot { it.isWhitespace() })
            key = KeyFactory.getInstance("Ed25519").generatePublic(X509EncodedKeySpec(der))
            id = sha256(der)
        } catch (error: NoSuchAlgorithmException) {
            throw InputError(
                "key: this platform has no Ed25519 (Android has it from API 33 on, the JVM from 15 on)", error
            )
        } catch (error: GeneralSecurityException) {
            throw InputError("key: expected an Ed25519 public key: $error", error)
        } catch (error: IllegalArgumentException) {
            throw InputError("key: not a public key in PEM form: $error", error)
        }
    }

    internal fun hasSigned(content: ByteArray, signature: ByteArray): Boolean = try {
        Signature.getInstance("Ed25519").run {
            initVerify(key)
            update(content)
            verify(signature)
        }
    } catch (_: GeneralSecurityException) {
        false
    }
}

/**
 * The id of the key of [keys] that signed [manifest], by the manifest.sig of [directory]; null where [keys] is empty.
 */
internal fun verifySignature(directory: File, manifest: ByteArray, keys: List<SigningKey>): String? {
    if (keys.isEmpty()) return null
    val file = File(directory, SIGNATURE_NAME)
    if (!file.exists()) {
        refused(
            "bundle $directory: has no $SIGNATURE_NAME, and a key was given: get the signed bundle from its producer"
        )
    }
    val (id, signature) = parseSignature(readPlain(file, SIGNATURE_NAME, MAX_SIGNATURE_BYTES))
    val key = keys.firstOrNull { it.id == id }
        ?: refused("$SIGNATURE_NAME: signed with the key $id: expected ${keys.joinToString(" or ") { it.id }}")
    if (!key.hasSigned(manifest, signature)) {
        refused("$MANIFEST_NAME is not what the key $id signed: don't use it, get it again from its producer")
    }
    return id
}

private fun parseSignature(content: ByteArray): Pair<String, ByteArray> {
    try {
        val where = "$SIGNATURE_NAME: "
        val fields = Fields(readJson(content, SIGNATURE_NAME, MAX_SIGNATURE_BYTES), where)
        fields.take("format_version", anInteger(1, 1))
        fields.take("algorithm", oneOf("ed25519"))
        val id = fields.take("key_id", aSha256)
        val text = fields.take("signature", aString)
        fields.finish()
        val signature = try {
            Base64.decode(text)
        } catch (_: IllegalArgumentException) {
            ByteArray(0)
        }
        // Compared with its own encoding: several texts decode to the same bytes, and one is enough.
        if (signature.size != SIGNATURE_BYTES || Base64.encode(signature) != text) {
            refused("$SIGNATURE_NAME: signature: expected $SIGNATURE_BYTES bytes in base64")
        }
        return id to signature
    } catch (error: RuntimeBundleError) {
        refused(error.message.orEmpty())
    }
}
