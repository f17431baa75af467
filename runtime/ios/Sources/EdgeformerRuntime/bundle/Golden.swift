let goldenName = "golden.json"
private let dataName = "golden.bin"
private let maxGoldenBytes = 8 << 20 // of each of the two
private let maxRows = 64
private let maxArrayDims = 8

/// What a row was made of, so that a reader can check its own preprocessing.
struct GoldenText: Sendable {
    let text: String
    let second: String?
    let prompt: String?
}

/// A variant's outputs and predictions (JSON data, nil for rows without a text), one a row.
struct GoldenVariant: Sendable {
    let outputs: [[String: Tensor]]
    let similarityMin: Double
    let executedBy: String
    let predictions: [OrderedMap<Json>?]
}

/// golden.json and golden.bin: rows of inputs, the texts that some were made of, and what each variant answered.
struct Golden: Sendable {
    let rows: [[String: Tensor]]
    let texts: [GoldenText?]
    let variants: OrderedMap<GoldenVariant>
}

private func refused(_ problem: String) -> RuntimeBundleError {
    RuntimeBundleError(problem.hasPrefix(goldenName) ? problem : "\(goldenName): \(problem)", .golden)
}

/// The golden rows of an open bundle; nil for one without. Raises RuntimeBundleError, code `golden` where they don't
/// fit.
func readGolden(_ bundle: ModelBundle) throws -> Golden? {
    let paths = bundle.manifest.files.map(\.path)
    if !paths.contains(goldenName) { return nil }
    if !paths.contains(dataName) { throw refused("has no \(dataName) beside it") }
    return try parseGolden(bundle.read(goldenName), bundle.read(dataName), bundle.manifest)
}

/// The same, of the contents of the two files.
func parseGolden(_ content: [UInt8], _ data: [UInt8], _ manifest: Manifest) throws -> Golden {
    if data.count > maxGoldenBytes {
        throw refused("\(dataName) has \(data.count) bytes: expected at most \(maxGoldenBytes)")
    }
    do {
        let json = try readJson(content, goldenName, maxBytes: maxGoldenBytes)
        return try GoldenReader(data: data, manifest: manifest).read(json)
    } catch let error as RuntimeBundleError {
        throw refused(error.message)
    }
}

private struct GoldenReader {
    let data: [UInt8]
    let manifest: Manifest

    func read(_ value: Json) throws -> Golden {
        let fields = try Fields(value, "\(goldenName): ")
        _ = try fields.take("version", anInteger(2, 2))
        let listed = try fields.take("rows", aListOf(anObject))
        if !(1...maxRows).contains(listed.count) { throw refused("\(listed.count) rows: expected 1 to \(maxRows)") }
        var rows: [[String: Tensor]] = []
        var texts: [GoldenText?] = []
        for (index, item) in listed.enumerated() {
            let place = "\(goldenName): rows[\(index)]"
            let row = try Fields(.object(item), place)
            texts.append(try row.take("text", orNull(text), missing: nil))
            rows.append(try arrays(.object(row.take("inputs", anObject)), manifest.inputs, "\(place).inputs"))
            try row.finish()
        }
        let skipped = manifest.skipped("variant").map(\.name)
        var variants = OrderedMap<GoldenVariant>()
        for (name, item) in try fields.take("variants", anObject) where !skipped.contains(name) {
            guard let entry = manifest.variants.first(where: { $0.name == name }) else {
                throw refused("variant '\(name.prefix(80))' is not in the manifest")
            }
            let outputs = entry.graphs[mainGraph]?.outputs ?? manifest.outputs
            _ = variants.append(name, try variant(item, outputs, rows.count, "\(goldenName): variants.\(name)"))
        }
        try fields.finish()
        return Golden(rows: rows, texts: texts, variants: variants)
    }

    private func variant(_ value: Json, _ outputs: [TensorSpec], _ rows: Int, _ place: String) throws -> GoldenVariant {
        let fields = try Fields(value, place)
        let listed = try fields.take("outputs", aListOf(anObject))
        let none = [OrderedMap<Json>?](repeating: nil, count: rows)
        let predictions = try fields.take("predictions", aListOf(orNull(anObject)), missing: none)
        if listed.count != rows || predictions.count != rows {
            throw refused(
                "\(place): outputs and predictions of \(listed.count) and \(predictions.count) rows, expected \(rows)"
            )
        }
        let needed = try fields.take("similarity_min", aNumber)
        if !(needed > 0 && needed < 1) { throw refused("\(place).similarity_min \(needed): expected 0 to 1") }
        let found = GoldenVariant(
            outputs: try listed.enumerated().map {
                try arrays(.object($0.element), outputs, "\(place).outputs[\($0.offset)]")
            },
            similarityMin: needed,
            executedBy: String(try fields.take("executed_by", aString).prefix(500)),
            predictions: predictions
        )
        try fields.finish()
        return found
    }

    private func text(_ value: Json, _ place: String) throws -> GoldenText {
        let fields = try Fields(value, place)
        let text = GoldenText(
            text: try fields.take("text", aString),
            second: try fields.take("second", orNull(aString), missing: nil),
            prompt: try fields.take("prompt", orNull(aString), missing: nil)
        )
        try fields.finish()
        return text
    }

    private func arrays(_ value: Json, _ specs: [TensorSpec], _ place: String) throws -> [String: Tensor] {
        let fields = try Fields(value, place)
        var row: [String: Tensor] = [:]
        for spec in specs {
            row[spec.name] = try array(.object(fields.take(spec.name, anObject)), below(place, spec.name))
        }
        try fields.finish()
        return row
    }

    private func array(_ value: Json, _ place: String) throws -> Tensor {
        let fields = try Fields(value, place)
        let dtype = DType(rawValue: try fields.take("dtype", oneOf(DType.allCases.map(\.rawValue))))!
        let shape = try fields.take("shape", aListOf(anInteger(1, Int64(maxGoldenBytes))))
        let offset = try fields.take("offset", anInteger(0, Int64(maxGoldenBytes)))
        try fields.finish()
        if shape.count > maxArrayDims {
            throw refused("\(place).shape: expected up to \(maxArrayDims) sizes, got \(shape.count)")
        }
        let bytes = shape.reduce(dtype.sizeBytes) { min($0 * $1, 2 * maxGoldenBytes) }
        if offset + bytes > data.count {
            throw refused("\(place): bytes \(offset) to \(offset + bytes): \(dataName) has \(data.count)")
        }
        let tensor = try Tensor(dtype, shape, bytes: Array(data[offset..<offset + bytes]))
        if dtype.isFloat && tensor.toDoubles().contains(where: { !$0.isFinite }) {
            throw refused("\(place): holds numbers that aren't finite")
        }
        return tensor
    }
}
