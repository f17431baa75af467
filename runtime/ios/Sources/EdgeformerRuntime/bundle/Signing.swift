import Foundation
#if canImport(CryptoKit)
import CryptoKit
#endif

let signatureName = "manifest.sig"
let maxSignatureBytes = 4096
private let signatureBytes = 64
private let keyBytes = 32
private let derPrefix: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00] // of Ed25519

private func signatureError(_ message: String) -> RuntimeBundleError { RuntimeBundleError(message, .signature) }

/// An Ed25519 public key that bundles may be signed with. `id`: SHA-256 of its DER form, in hexadecimal.
public struct SigningKey: Sendable {
    public let id: String
    private let key: [UInt8]

    /// `pem` is the text of a public key in PEM form. Raises InputError where it is none.
    public init(pem: String) throws {
        if pem.contains("PRIVATE KEY") {
            throw InputError("key: is a private key, which belongs on no device: give its public key")
        }
        guard let begin = pem.range(of: "-----BEGIN PUBLIC KEY-----"),
              let end = pem.range(of: "-----END PUBLIC KEY-----", range: begin.upperBound..<pem.endIndex),
              let der = Data(base64Encoded: pem[begin.upperBound..<end.lowerBound].filter { !$0.isWhitespace })
        else { throw InputError("key: not a public key in PEM form") }
        if der.count != derPrefix.count + keyBytes || !der.starts(with: derPrefix) {
            throw InputError("key: expected an Ed25519 public key, got one of \(der.count) bytes of another kind")
        }
        key = Array(der.suffix(keyBytes))
        id = EdgeformerRuntime.sha256(der)
    }

    /// Raise RuntimeBundleError, code `signature`, unless this key made `signature` of `content`.
    fileprivate func check(_ signature: Data, of content: [UInt8]) throws {
        #if canImport(CryptoKit)
        let key = try? Curve25519.Signing.PublicKey(rawRepresentation: self.key)
        if key?.isValidSignature(signature, for: content) != true {
            throw signatureError(
                "\(manifestName) is not what the key \(id) signed: don't use it, get it again from its producer"
            )
        }
        #else
        throw signatureError(
            "\(signatureName): can't be checked here: Ed25519 is CryptoKit's, which Apple's systems alone have. Open "
                + "the bundle without a key, or check it with `edgeformer-run verify`"
        )
        #endif
    }
}

/// The id of the key of `keys` that signed `manifest`, by the manifest.sig of `directory`; nil where `keys` is empty.
func verifySignature(_ directory: String, _ manifest: [UInt8], _ keys: [SigningKey]) throws -> String? {
    if keys.isEmpty { return nil }
    let path = "\(directory)/\(signatureName)"
    if !FileManager.default.fileExists(atPath: path) {
        throw signatureError(
            "bundle \(directory): has no \(signatureName), and a key was given: get the signed bundle from its producer"
        )
    }
    let (id, signature) = try parseSignature(readPlain(path, signatureName, maxBytes: maxSignatureBytes))
    guard let key = keys.first(where: { $0.id == id }) else {
        let known = keys.map(\.id).joined(separator: " or ")
        throw signatureError("\(signatureName): signed with the key \(id): expected \(known)")
    }
    try key.check(signature, of: manifest)
    return id
}

private func parseSignature(_ content: [UInt8]) throws -> (id: String, signature: Data) {
    do {
        let json = try readJson(content, signatureName, maxBytes: maxSignatureBytes)
        let fields = try Fields(json, "\(signatureName): ")
        _ = try fields.take("format_version", anInteger(1, 1))
        _ = try fields.take("algorithm", oneOf(["ed25519"]))
        let id = try fields.take("key_id", aSha256)
        let text = try fields.take("signature", aString)
        try fields.finish()
        // Compared with its own encoding: several texts decode to the same bytes, and one is enough.
        guard let signature = Data(base64Encoded: text), signature.count == signatureBytes,
              signature.base64EncodedString() == text
        else { throw signatureError("\(signatureName): signature: expected \(signatureBytes) bytes in base64") }
        return (id, signature)
    } catch let error as RuntimeBundleError {
        throw signatureError(error.message)
    }
}
