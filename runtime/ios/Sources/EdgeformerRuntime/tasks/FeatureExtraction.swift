/// A vector, to be compared with others of the same model by `similarity`.
public struct Embedding: Prediction {
    public let row: PredictedRow
    public let embedding: [Float]

    init(_ encoded: Encoded, _ embedding: [Float]) {
        row = PredictedRow(encoded)
        self.embedding = embedding
    }

    public var ownJson: [(key: String, value: Json)] { [("embedding", .list(embedding.map { .number(Double($0)) }))] }
}

/// feature-extraction and image-feature-extraction: [1, dimensions]; pooling is part of the model.
struct FeatureExtraction: ModelTask {
    let spec: TaskSpec
    let outputs: [String]
    let kinds: [String]
    var embeds: [String] { kinds }

    init(_ spec: TaskSpec, _ outputs: [String], kind: String) throws {
        self.spec = spec
        self.outputs = outputs
        kinds = [kind]
        try check()
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        Embedding(encoded, try vector(try output(found, 0)))
    }
}
