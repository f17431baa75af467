import Foundation

private let template = "This is a photo of {}."

/// zero-shot-image-classification among the labels of `spec`, whose texts' vectors `vectors` are (nil: not yet known).
struct ZeroShotImageClassification: ImageTextTask {
    let spec: TaskSpec
    let outputs: [String]
    let kinds = ["image"]
    private let vectors: [[Float]]?

    init(_ spec: TaskSpec, _ outputs: [String], vectors: [[Float]]? = nil) throws {
        self.spec = spec
        self.outputs = outputs
        self.vectors = vectors
        try checkTowers()
    }

    /// The same task between `labels`.
    func withLabels(_ labels: [String], vectors: [[Float]]) throws -> ZeroShotImageClassification {
        var spec = spec
        spec.labels = labels
        return try ZeroShotImageClassification(spec, outputs, vectors: vectors)
    }

    /// What the text tower gets for `label`.
    func text(of label: String) -> String {
        (spec.hypothesisTemplate ?? template).replacingOccurrences(of: "{}", with: label, options: .literal)
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        let picture = try vector(try output(found, 0))
        guard let vectors else { throw InputError("task \(spec.kind): no labels: name them") }
        if vectors[0].count != picture.count {
            throw refused("a picture's vector has \(picture.count) numbers, a label's \(vectors[0].count)")
        }
        let logits = try vectors.map { try logit(try similarity($0, picture)) }
        return Classification(encoded, spec, activated(spec, logits))
    }
}

/// Throws InputError unless `labels` are at least two texts, each once and not empty.
func checkLabels(_ labels: [String]) throws {
    if labels.contains(where: { $0.allSatisfy(\.isWhitespace) }) {
        throw InputError("labels: expected texts, none of them empty")
    }
    if labels.count < 2 || Set(labels).count != labels.count {
        throw InputError("labels \(labels.joined(separator: ", ").prefix(80)): expected at least two, each once")
    }
}

/// The vectors in a bundle's file of float32 [labels, dimensions]; throws RuntimeBundleError for NaN, infinity.
func storedVectors(_ data: [UInt8], labels: Int) throws -> [[Float]] {
    let numbers = try Tensor(.float32, [data.count / 4], bytes: data).toFloats()
    if !numbers.allSatisfy(\.isFinite) { throw RuntimeBundleError("the bundle's label vectors hold NaN or infinity") }
    let size = numbers.count / labels
    return (0..<labels).map { Array(numbers[$0 * size..<($0 + 1) * size]) }
}

/// Throws InputError where the model doesn't read a label to its end, or can't tell two apart.
func checkToldApart(_ labels: [String], _ found: [Embedding]) throws {
    for (label, vector) in zip(labels, found) where vector.isTruncated {
        throw InputError("label '\(label.prefix(80))': its text is longer than the model reads: shorten it")
    }
    for index in labels.indices {
        for other in 0..<index where found[other].embedding == found[index].embedding {
            throw InputError("""
                labels '\(labels[other])' and '\(labels[index])': the model gives both one vector: name one otherwise
                """)
        }
    }
}
