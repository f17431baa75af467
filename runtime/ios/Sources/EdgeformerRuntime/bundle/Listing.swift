private let maxReportBytes = 64 << 20

/// Files for people, which may lie beside those of the manifest, and how large they may be.
private let unlisted = [
    ("report.html", maxReportBytes), ("report.json", maxReportBytes), (signatureName, maxSignatureBytes),
]

/// Raise RuntimeBundleError unless `found`, what is there, are the files of `manifest`.
func checkListing(_ place: String, _ found: [(path: String, bytes: Int)], _ manifest: Manifest) throws {
    let present = found.filter { $0.path != manifestName }
    try checkDistinct(present.map(\.path), place)
    let sizes = Dictionary(present.map { ($0.path, $0.bytes) }) { first, _ in first }
    let listed = Set(manifest.files.map(\.path))
    if let missing = listed.filter({ sizes[$0] == nil }).min() {
        throw filesError("\(place): '\(missing)' is missing: the copy is incomplete, copy the bundle again")
    }
    for (name, limit) in unlisted {
        if !listed.contains(name), let bytes = sizes[name], bytes > limit {
            let size = "has \(bytes) bytes: expected at most \(limit)"
            throw filesError("\(place): '\(name)' \(size). The bundle works without it: move it elsewhere")
        }
    }
    let strange = sizes.keys.filter { path in !listed.contains(path) && !unlisted.contains { $0.0 == path } }
    if let path = strange.min() {
        throw filesError(
            "\(place): '\(path)' is not in \(manifestName): expected only files of the bundle. Move it elsewhere"
        )
    }
    for entry in manifest.files {
        if let bytes = sizes[entry.path], bytes != entry.bytes {
            throw filesError(
                "\(place): '\(entry.path)': expected \(entry.bytes) bytes, got \(bytes): the file is damaged or altered"
            )
        }
    }
}
