let manifestName = "manifest.json"
let maxLength = 1 << 24 // of a named dimension: tokens, samples, frames, pixels
private let document = "manifest.json: "
private let maxSize = Int(Int32.max)
private let maxDims = 32
private let formats = ["onnx", "tensorrt", "tflite", "coreml"]
private let roles = ["tokens", "mask", "token_types", "pixels", "samples", "features", "state", "cross"]
private let similarities = ["cosine", "dot", "euclidean", "manhattan"]
private let preprocessKinds = ["text", "image", "audio"]

/// Parse the bytes of manifest.json; raises RuntimeBundleError, and nothing else, where it is wrong.
func readManifest(_ content: [UInt8]) throws -> Manifest {
    let value = try readJson(content)
    let manifest = try manifest(value) // first: what it refuses, it names
    if case .object(let object) = value, case .string(let stated)? = object["checksum"] {
        try checkChecksum(content, stated)
    }
    return manifest
}

private func checkChecksum(_ content: [UInt8], _ stated: String) throws {
    let head = Array("{\n \"checksum\": \"\(stated)\",\n".utf8)
    if content.starts(with: head) && stated == sha256(content.dropFirst(head.count)) { return }
    throw RuntimeBundleError(
        "manifest.json: expected the checksum \(stated), which isn't that of its text: the file is damaged or altered, "
            + "get the bundle again. If you changed it on purpose, remove its key 'checksum'",
        .checksum
    )
}

private func manifest(_ value: Json) throws -> Manifest {
    let fields = try Fields(value, document)
    try checkFormatVersion(fields)
    let signature = try Fields(.object(fields.take("signature", anObject)), document + "signature")
    var skipped: [Skipped] = []
    let task = try fields.take("task") { value, place in try readTask(value, place, &skipped) }
    let variants = try fields.take("variants") { value, place in
        try known(value, place, part: "variant", key: "name", readVariant, &skipped)
    }
    let preprocess = try fields.take("preprocess", { value, place in
        try known(value, place, part: "preprocess", key: "kind", readPreprocess, &skipped)
    }, missing: [])
    let manifest = Manifest( // in Python's order: of several errors it decides which is named
        name: try fields.take("name", aName),
        task: task,
        inputs: try signature.take("inputs", aListOf(readTensor)),
        outputs: try signature.take("outputs", aListOf(readTensor)),
        files: try fields.take("files", aListOf(readFile)),
        variants: variants,
        preprocess: preprocess,
        targets: try fields.take("targets", aListOf(aString), missing: []),
        recipe: try fields.take("recipe", anObject, missing: OrderedMap()),
        sources: try fields.take("sources", anObject, missing: OrderedMap()),
        metrics: try fields.take("metrics", anObject, missing: OrderedMap()),
        producer: try fields.take("producer", aString, missing: ""),
        skipped: skipped
    )
    try signature.finish()
    _ = try fields.take("checksum", orNull(aSha256), missing: nil)
    try fields.finish()
    try checkWhole(manifest)
    return manifest
}

private func checkFormatVersion(_ fields: Fields) throws {
    if !fields.has("format_version") {
        throw refusal("manifest.json: key 'format_version' is missing: this is not an edgeformer bundle")
    }
    let version = try fields.take("format_version") { value, place -> Double in
        if case .largeInteger(let number) = value, number > 0 { return number }
        return Double(try anInteger(1)(value, place))
    }
    if version == Double(formatVersion) { return }
    let advice = version > Double(formatVersion) ? "update the runtime" : "compile the model again"
    let found = "format \(fixed(version, 0)), this runtime reads \(formatVersion)"
    throw RuntimeBundleError("\(found): \(advice)", .formatVersion)
}

/// Those items of a list that `read` knows; the others go to `skipped` with the reason. `key` names an item.
private func known<T>(
    _ value: Json, _ place: String, part: String, key: String, _ read: Read<T>, _ skipped: inout [Skipped]
) throws -> [T] {
    var found: [T] = []
    for (index, object) in try aListOf(anObject)(value, place).enumerated() {
        let item = Json.object(object)
        let itemPlace = "\(place)[\(index)]"
        let name = try Fields(item, itemPlace).take(key, aName)
        do {
            found.append(try read(item, itemPlace))
        } catch let error as RuntimeBundleError where error.unknownPart != nil {
            skipped.append(Skipped(part: part, name: name, reason: error.unknownPart!))
        }
    }
    return found
}

private func readPreprocess(_ value: Json, _ place: String) throws -> any Preprocess {
    let kind = try Fields(value, place).take("kind", aName)
    switch kind {
    case "text": return try readTextPreprocess(value, place)
    case "image": return try readImagePreprocess(value, place)
    case "audio": return try readAudioPreprocess(value, place)
    default:
        let known = preprocessKinds.joined(separator: ", ")
        throw unknownPart(place, "kind '\(kind.prefix(80))' is none that this runtime knows (\(known))")
    }
}

private func readTask(_ value: Json, _ place: String, _ skipped: inout [Skipped]) throws -> TaskSpec {
    let kind = try Fields(value, place).take("kind", aName)
    do {
        return try readTaskSpec(value, place)
    } catch let error as RuntimeBundleError where error.unknownPart != nil {
        skipped.append(Skipped(part: "task", name: kind, reason: error.unknownPart!))
        return TaskSpec(kind: kind)
    }
}

private func readTaskSpec(_ value: Json, _ place: String) throws -> TaskSpec {
    let fields = try Fields(value, place)
    let numbers = try Fields(.object(fields.take("numbers", anObject, missing: OrderedMap())), "\(place).numbers")
    let task = TaskSpec(
        kind: try fields.take("kind", aName),
        labels: try fields.take("labels", aListOf(aString), missing: []),
        multiLabel: try fields.take("multi_label", aBoolean, missing: false),
        regression: try fields.take("regression", aBoolean, missing: false),
        activation: try fields.take("activation", orNull(oneOf(["sigmoid", "softmax", "tanh"])), missing: nil),
        similarity: try fields.take("similarity", orNull(oneOf(similarities)), missing: nil),
        threshold: try numbers.take("threshold", aNumber, missing: 0.5),
        longestAnswer: try numbers.take("longest_answer", anInteger(1, Int64(maxLength)), missing: 30),
        scale: try numbers.take("scale", aNumber, missing: 1),
        bias: try numbers.take("bias", aNumber, missing: 0),
        hypothesisTemplate: try fields.take("hypothesis_template", orNull(aTemplate), missing: nil),
        labelVectors: try fields.take("label_vectors", orNull(aPath), missing: nil)
    )
    try numbers.finish()
    try fields.finish()
    if let activation = task.activation, activation == (task.regression ? "softmax" : "tanh") {
        let what = task.regression ? "one number" : "several labels"
        throw refusal("\(place).activation '\(activation)' is none for \(what)")
    }
    return task
}

private func aTemplate(_ value: Json, _ place: String) throws -> String {
    guard case .string(let text) = value, text.contains("{}") else {
        throw wrong(place, "a text with {} where the label goes", value)
    }
    return text
}

private func readTensor(_ value: Json, _ place: String) throws -> TensorSpec {
    let fields = try Fields(value, place)
    let spec = TensorSpec(
        name: try fields.take("name", aName),
        dtype: DType(rawValue: try fields.take("dtype", oneOf(DType.allCases.map(\.rawValue))))!,
        shape: try fields.take("shape", aListOf(readDim)),
        padValue: try fields.take("pad_value", aNumber, missing: 0),
        role: try fields.take("role", orNull(oneOf(roles)), missing: nil)
    )
    try fields.finish()
    if spec.shape.filter({ $0 == .named(batch) }).count > 1 { throw refusal("\(place).shape: '\(batch)' occurs twice") }
    if spec.shape.count > maxDims {
        throw refusal("\(place).shape has \(spec.shape.count) dimensions: expected at most \(maxDims)")
    }
    var elements = 1
    for case .fixed(let size) in spec.shape {
        elements *= size
        if elements > maxSize { throw refusal("\(place).shape has more than \(maxSize) elements") }
    }
    return spec
}

private func readDim(_ value: Json, _ place: String) throws -> Dim {
    if case .string = value { return .named(try aName(value, place)) }
    return .fixed(try anInteger(1, Int64(maxSize))(value, place))
}

private func readFile(_ value: Json, _ place: String) throws -> FileEntry {
    let fields = try Fields(value, place)
    let entry = FileEntry(
        path: try fields.take("path", aPath),
        bytes: try fields.take("bytes", anInteger(0)),
        sha256: try fields.take("sha256", aSha256)
    )
    try fields.finish()
    return entry
}

private func readVariant(_ value: Json, _ place: String) throws -> VariantEntry {
    let fields = try Fields(value, place)
    let format = try fields.take("format", aName)
    if !formats.contains(format) {
        let known = formats.joined(separator: ", ")
        throw unknownPart(place, "format '\(format.prefix(80))' is none that this runtime knows (\(known))")
    }
    let entry = VariantEntry(
        name: try fields.take("name", aName),
        format: format,
        engine: try fields.take("engine", aName),
        graphs: try fields.take("graphs", aMapOf(readGraph)),
        sizeBytes: try fields.take("size_bytes", anInteger(0)),
        lengths: try fields.take("lengths", aMapOf(ascending), missing: OrderedMap()),
        fixedBatch: try fields.take("fixed_batch", orNull(anInteger(1, Int64(maxSize))), missing: nil),
        weightFormats: try fields.take("weight_formats", aMapOf(anInteger(0)), missing: OrderedMap()),
        enginePackages: try fields.take("engine_packages", aListOf(aName), missing: []),
        minEngineVersion: try fields.take("min_engine_version", orNull(aVersion), missing: nil),
        verification: try fields.take("verification", orNull(readVerification), missing: nil)
    )
    _ = try fields.take("targets", aListOf(aString), missing: [])
    _ = try fields.take("settings", anObject, missing: OrderedMap())
    try checkOtherNeeds(fields)
    try fields.finish()
    if entry.graphs.isEmpty { throw refusal("\(place).graphs: expected at least one graph, got none") }
    if entry.lengths[batch] != nil { throw refusal("\(place).lengths: '\(batch)' is what fixed_batch is for") }
    return entry
}

private func readGraph(_ value: Json, _ place: String) throws -> Graph {
    let fields = try Fields(value, place)
    let graph = Graph(
        path: try fields.take("path", aPath),
        inputs: try fields.take("inputs", orNull(aListOf(readTensor)), missing: nil),
        outputs: try fields.take("outputs", orNull(aListOf(readTensor)), missing: nil),
        hasStates: try !fields.take("states", aListOf(checkState), missing: []).isEmpty
    )
    try fields.finish()
    return graph
}

private func checkState(_ value: Json, _ place: String) throws {
    let fields = try Fields(value, place)
    _ = try fields.take("input", aName)
    _ = try fields.take("output", aName)
    _ = try fields.take("axis", anInteger(0))
    _ = try fields.take("update", oneOf(["append", "slot", "implicit"]))
    _ = try fields.take("longest", orNull(anInteger(1, Int64(maxLength))), missing: nil)
    try fields.finish()
}

private func ascending(_ value: Json, _ place: String) throws -> [Int] {
    let lengths = try aListOf(anInteger(1, Int64(maxLength)))(value, place)
    if lengths.isEmpty || zip(lengths, lengths.dropFirst()).contains(where: { $0 >= $1 }) {
        throw wrong(place, "ascending lengths, each once", value)
    }
    return lengths
}

/// "1.19" or "iOS18": at most six numbers of at most nine digits.
private func aVersion(_ value: Json, _ place: String) throws -> String {
    if case .string(let text) = value {
        let numbers = text.utf8.dropFirst(text.hasPrefix("iOS") ? 3 : 0)
            .split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let areNumbers = numbers.allSatisfy { (1...9).contains($0.count) && $0.allSatisfy((0x30...0x39).contains) }
        if numbers.count <= 6 && areNumbers { return text }
    }
    throw wrong(place, "a version like '1.19' or 'iOS18'", value)
}

private func readVerification(_ value: Json, _ place: String) throws -> Verification {
    let fields = try Fields(value, place)
    for key in ["cosine_min", "cosine_mean", "max_abs_error"] { _ = try fields.take(key, aNumber) }
    for key in ["similarity_min", "similarity_p01", "agreement", "metric_drop"] {
        _ = try fields.take(key, orNull(aNumber), missing: nil)
    }
    _ = try fields.take("executed_by", aString)
    _ = try fields.take("on_device", aBoolean)
    let verification = Verification(
        samples: try fields.take("samples", anInteger(0)),
        metricName: try fields.take("metric_name", orNull(aString), missing: nil),
        metric: try fields.take("metric", orNull(aNumber), missing: nil)
    )
    try fields.finish()
    return verification
}

/// What other engines or compilers need of a variant: checked, and acted on by nothing here.
private func checkOtherNeeds(_ variant: Fields) throws {
    let anyInteger = anInteger(.min)
    let tensorrt: Read<Void> = { value, place in
        let fields = try Fields(value, place)
        _ = try fields.take("precision", orNull(oneOf(["fp16", "fp32"])), missing: nil)
        _ = try fields.take("workspace_bytes", orNull(anInteger(1)), missing: nil)
        _ = try fields.take("dla_core", orNull(anInteger(0, 1)), missing: nil)
        _ = try fields.take("profiles", aMapOf { profile, place in
            let shapes = try Fields(profile, place)
            for key in ["min", "opt", "max"] { _ = try shapes.take(key, aListOf(anyInteger)) }
            try shapes.finish()
        }, missing: OrderedMap())
        try fields.finish()
    }
    let localAttention: Read<Void> = { value, place in
        let fields = try Fields(value, place)
        _ = try fields.take("head_dims", aListOf(anyInteger))
        _ = try fields.take("dtype", aString)
        _ = try fields.take("kernel_version", anyInteger)
        try fields.finish()
    }
    let fullAttention: Read<Void> = { value, place in
        let fields = try Fields(value, place)
        _ = try fields.take("below_positions", aListOf(anInteger(1)))
        try fields.take("decided_by") { who, place in
            guard case .string = who else { return _ = try anInteger(1)(who, place) }
            _ = try oneOf(["input", "signature"])(who, place)
        }
        try fields.finish()
    }
    _ = try variant.take("tensorrt", orNull(tensorrt), missing: nil)
    _ = try variant.take("local_attention", orNull(localAttention), missing: nil)
    _ = try variant.take("full_attention", orNull(fullAttention), missing: nil)
}
