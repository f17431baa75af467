private let maxFiles = 10_000
private let maxBundleBytes = 16 << 30
private let maxReadBytes = 256 << 20 // of a file that preprocessing reads whole

/// What one field of a manifest alone can't show: duplicates, and names that point at each other. Raises
/// RuntimeBundleError.
///
/// Names that differ in their Unicode form alone are one to Swift, and are refused here, where other readers take them.
func checkWhole(_ manifest: Manifest) throws {
    let variants = manifest.variants.map(\.name) + manifest.skipped("variant").map(\.name)
    if variants.contains("auto") {
        throw refusal("manifest.json: variants: 'auto' is no name: it asks for the fastest variant. Rename it")
    }
    for (what, names) in [
        ("inputs", manifest.inputs.map(\.name)),
        ("outputs", manifest.outputs.map(\.name)),
        ("variants", variants),
        ("task.labels", manifest.task.labels),
    ] {
        var seen: Set<String> = []
        if let twice = names.first(where: { !seen.insert($0).inserted }) {
            throw refusal("manifest.json: \(what): '\(twice)' occurs more than once")
        }
        if names.isEmpty && what != "task.labels" {
            throw refusal("manifest.json: \(what): expected at least one, got none")
        }
    }
    try checkFiles(manifest)
    let places = Set(manifest.files.flatMap { [$0.path] + foldersOf($0.path) })
    for variant in manifest.variants { try checkVariant(manifest, variant, places) }
    try checkReadFiles(manifest)
}

private func checkFiles(_ manifest: Manifest) throws {
    let paths = manifest.files.map(\.path)
    if paths.count > maxFiles {
        throw refusal("manifest.json: lists \(paths.count) files: expected at most \(maxFiles)")
    }
    try checkDistinct(paths + [manifestName, signatureName], "manifest.json: files")
    var total = 0
    for entry in manifest.files {
        total += min(entry.bytes, maxBundleBytes + 1)
        if total > maxBundleBytes {
            throw refusal("manifest.json: its files have over \(maxBundleBytes) bytes together")
        }
    }
}

private func checkVariant(_ manifest: Manifest, _ variant: VariantEntry, _ places: Set<String>) throws {
    let what = "manifest.json: variant '\(variant.name)'"
    let graphs = variant.graphs.values
    if let graph = graphs.first(where: { !places.contains($0.path) }) {
        throw refusal("\(what): path '\(graph.path)' is not among the files")
    }
    let inputs = graphs.flatMap { $0.inputs ?? manifest.inputs }
    if !graphs.contains(where: { $0.hasStates || $0.inputs == nil || $0.outputs == nil }) {
        try checkParts(what, "inputs", manifest.inputs, inputs)
        try checkParts(what, "outputs", manifest.outputs, graphs.flatMap { $0.outputs ?? [] })
    }
    let dimensions = Set(inputs.flatMap(\.shape))
    if let strange = variant.lengths.keys.first(where: { !dimensions.contains(.named($0)) }) {
        throw refusal("\(what): lengths of '\(strange)', which no input has")
    }
}

/// Graphs without states part the signature's tensors among them.
private func checkParts(_ what: String, _ side: String, _ whole: [TensorSpec], _ parts: [TensorSpec]) throws {
    func counted(_ specs: [TensorSpec]) -> [TensorSpec: Int] { specs.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
    if counted(whole) == counted(parts) { return }
    let names = parts.map(\.name).joined(separator: ", ")
    throw refusal("\(what): its graphs' \(side), \(names), are not the signature's")
}

/// Files that are read whole must be there and small enough; label vectors as many as labels, as long as the model's.
private func checkReadFiles(_ manifest: Manifest) throws {
    func size(_ path: String, _ what: String) throws -> Int {
        guard let entry = manifest.files.first(where: { $0.path == path }) else {
            throw refusal("manifest.json: \(what): '\(path)' is not among the files")
        }
        if entry.bytes > maxReadBytes {
            throw refusal("manifest.json: '\(path)' has \(entry.bytes) bytes: expected at most \(maxReadBytes)")
        }
        return entry.bytes
    }
    for item in manifest.preprocess {
        for path in item.files { _ = try size(path, "preprocess \(item.kind)") }
    }
    guard let path = manifest.task.labelVectors else { return }
    let bytes = try size(path, "task.label_vectors")
    let labels = manifest.task.labels.count
    if case .fixed(let dimensions)? = manifest.outputs[0].shape.last, bytes == 4 * labels * dimensions { return }
    let expected = "4 bytes for each of \(labels) labels x the model's dimensions"
    throw refusal("manifest.json: task.label_vectors: '\(path)': expected \(expected), got \(bytes)")
}
