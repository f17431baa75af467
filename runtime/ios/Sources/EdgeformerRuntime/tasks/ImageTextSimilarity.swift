/// A picture with a text: `similarity` is the cosine, `score` a probability; nil for models that only rank.
public struct ImageTextSimilarity: Prediction {
    public let row: PredictedRow
    public let similarity: Double
    public let score: Double?

    public var ownJson: [(key: String, value: Json)] { [("similarity", .number(similarity)), ("score", Json(score))] }
}

/// What compares pictures with texts: outputs are the picture's vector [1, dimensions], then the text's.
protocol ImageTextTask: ModelTask {}

extension ImageTextTask {
    var embeds: [String] { ["image", "text"] }

    func checkTowers() throws {
        try check(outputsNeeded: 2, hasActivation: true)
        if spec.regression || spec.activation == "tanh" {
            throw refused("expected no regression and no tanh: it compares vectors")
        }
    }

    /// scale · cosine + bias.
    func logit(_ cosine: Double) throws -> Double {
        let logit = spec.scale * cosine + spec.bias
        if !logit.isFinite { throw refused("scale \(spec.scale) and bias \(spec.bias) give no finite scores") }
        return logit
    }
}

/// image-text-similarity: how well a text describes a picture.
struct ImageTextSimilarityTask: ImageTextTask {
    let spec: TaskSpec
    let outputs: [String]
    var kinds: [String] { embeds }

    init(_ spec: TaskSpec, _ outputs: [String]) throws {
        self.spec = spec
        self.outputs = outputs
        try checkTowers()
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        let cosine = try similarity(try vector(try output(found, 0)), try vector(try output(found, 1)))
        let score = spec.activation == "sigmoid" ? sigmoid(try logit(cosine)) : nil
        return ImageTextSimilarity(row: PredictedRow(encoded), similarity: cosine, score: score)
    }
}
