import Foundation

/// A verified bundle on disk: format version, fields, paths, checksum, signature where keys are given, kinds of file,
/// sizes and SHA-256 were checked before anything else sees a byte of it. (Foundation has the name `Bundle`.)
///
/// `digest`: SHA-256 of manifest.json in hexadecimal. `signedBy`: id of the key that its signature was checked with.
/// The unpacked copy of a .zip goes with the last reference to the bundle.
public final class ModelBundle: Sendable {
    public let directory: URL
    public let manifest: Manifest
    public let digest: String
    public let signedBy: String?
    private let temporary: URL
    private let isUnpacked: Bool

    /// Open and verify a bundle directory, or a .zip of one, which is unpacked below `temporary`.
    ///
    /// `keys`: the bundle must be signed with one of them; none: no signature is looked at. `temporary`: a folder that
    /// only this app can write to, as that of an app on iOS is. Raises RuntimeBundleError.
    public init(
        at location: URL, keys: [SigningKey] = [], temporary: URL = FileManager.default.temporaryDirectory
    ) throws {
        var isDirectory: ObjCBool = false
        if !FileManager.default.fileExists(atPath: location.path, isDirectory: &isDirectory) {
            throw notABundle("bundle \(location.path): nothing is there: expected a bundle directory or a .zip of one")
        }
        let folder = isDirectory.boolValue ? location : try newFolder(in: temporary, "edgeformer-bundle")
        do {
            if !isDirectory.boolValue { try unzip(location, into: folder) }
            (manifest, digest, signedBy) = try verify(folder.path, keys)
        } catch {
            if !isDirectory.boolValue { try? FileManager.default.removeItem(at: folder) }
            throw error
        }
        directory = folder.standardizedFileURL
        isUnpacked = !isDirectory.boolValue
        self.temporary = temporary
    }

    deinit {
        if isUnpacked { try? FileManager.default.removeItem(at: directory) }
    }

    /// The content of one file of the manifest, hashed as it is read; raises RuntimeBundleError.
    public func read(_ relative: String) throws -> [UInt8] {
        guard let entry = manifest.files.first(where: { $0.path == relative }) else {
            throw RuntimeBundleError("bundle '\(manifest.name)': '\(relative)' is not among its files")
        }
        var content: [UInt8] = []
        content.reserveCapacity(entry.bytes)
        try copyChecked(entry, in: directory.path) { content.append(contentsOf: $0) }
        return content
    }

    /// Call `use` with a model of the bundle, a file or a folder of files.
    func loading<T>(_ relative: String, _ use: (ModelFile) async throws -> T) async throws -> T {
        let entries = manifest.files.filter { $0.path == relative || foldersOf($0.path).contains(relative) }
        let folder = try newFolder(in: temporary, "edgeformer-model")
        defer { try? FileManager.default.removeItem(at: folder) }
        let content = entries.map { "\($0.sha256) \($0.path.dropFirst(relative.count))\n" }.sorted().joined()
        let directory = directory.path
        return try await use(ModelFile(sha256: EdgeformerRuntime.sha256(Array(content.utf8))) {
            for entry in entries {
                let target = folder.appendingPathComponent(entry.path)
                try makeFolder(target.deletingLastPathComponent())
                let out = try NewFile(target.path)
                try copyChecked(entry, in: directory, write: out.write)
            }
            return folder.appendingPathComponent(relative)
        })
    }
}

/// A model as an engine gets it. `sha256` names its content. `copy` makes a private copy of it, once: what an engine
/// loads is what was hashed, also where others can write into the bundle's folder. The copy goes when the engine has
/// loaded it.
public struct ModelFile: Sendable {
    public let sha256: String
    public let copy: @Sendable () throws -> URL
}

private func notABundle(_ message: String) -> RuntimeBundleError { RuntimeBundleError(message, .notABundle) }

/// (manifest, SHA-256 of its file, id of the key that signed it) of the bundle in `directory`.
private func verify(_ directory: String, _ keys: [SigningKey]) throws -> (Manifest, String, String?) {
    let path = "\(directory)/\(manifestName)"
    if !FileManager.default.fileExists(atPath: path) {
        throw notABundle(
            "bundle \(directory): has no \(manifestName): expected a directory written by `edgeformer compile`"
        )
    }
    let content = try readPlain(path, manifestName, maxBytes: maxManifestBytes)
    let manifest = try readManifest(content)
    let signedBy = try verifySignature(directory, content, keys)
    try checkListing("bundle \(directory)", scanFiles(directory), manifest)
    for entry in manifest.files { try copyChecked(entry, in: directory) }
    return (manifest, sha256(content), signedBy)
}
