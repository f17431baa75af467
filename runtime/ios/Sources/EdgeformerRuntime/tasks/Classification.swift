/// One label of several, or each on its own: `scores` of all, `labels` those that apply, `label` the best of all.
public struct Classification: Prediction {
    public let row: PredictedRow
    public let label: String
    public let score: Double
    public let scores: OrderedMap<Double>
    public let labels: [String]

    init(_ encoded: Encoded, _ spec: TaskSpec, _ values: [Double]) {
        let best = indexOfBest(values)
        row = PredictedRow(encoded)
        label = spec.labels[best]
        score = values[best]
        var scores = OrderedMap<Double>()
        for (label, value) in zip(spec.labels, values) { _ = scores.append(label, value) }
        self.scores = scores
        labels = spec.multiLabel ? zip(spec.labels, values).filter { $0.1 >= spec.threshold }.map(\.0) : [label]
    }

    public var ownJson: [(key: String, value: Json)] {
        [
            ("label", .string(label)), ("score", .number(score)),
            ("scores", Json(scores.map { ($0.key, .number($0.value)) })), ("labels", .list(labels.map { .string($0) })),
        ]
    }
}

/// One number, in the unit that the model was trained with.
public struct Regression: Prediction {
    public let row: PredictedRow
    public let value: Double

    public var ownJson: [(key: String, value: Json)] { [("value", .number(value))] }
}

/// text-, image- and audio-classification: logits [1, labels], or [1, 1] for a number.
struct ClassificationTask: ModelTask {
    let spec: TaskSpec
    let outputs: [String]
    let kinds: [String]

    init(_ spec: TaskSpec, _ outputs: [String], kind: String) throws {
        self.spec = spec
        self.outputs = outputs
        kinds = [kind]
        try check(hasActivation: true)
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        let logits = try output(found, 0)
        guard spec.regression else {
            return Classification(encoded, spec, activated(spec, try labelled(logits, dimensions: 2)))
        }
        let numbers = logits.toDoubles()
        if numbers.count != 1 { throw refused("expected one number a row, got shape \(logits.shape)") }
        return Regression(row: PredictedRow(encoded), value: activated(spec, numbers)[0])
    }
}
