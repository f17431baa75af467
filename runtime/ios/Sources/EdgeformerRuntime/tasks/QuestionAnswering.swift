/// The span of the context that answers the question; `start` and `end` count code points of the context.
public struct Answer: Prediction {
    public let row: PredictedRow
    public let text: String
    public let score: Double
    public let start: Int
    public let end: Int

    public var ownJson: [(key: String, value: Json)] {
        [("text", .string(text)), ("score", .number(score)), ("start", Json(start)), ("end", Json(end))]
    }
}

/// question-answering: logits of starts and of ends, both [1, tokens].
struct QuestionAnswering: ModelTask {
    let spec: TaskSpec
    let outputs: [String]
    let kinds = ["text"]

    init(_ spec: TaskSpec, _ outputs: [String]) throws {
        self.spec = spec
        self.outputs = outputs
        try check(outputsNeeded: 2)
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        let places = try encoded.places()
        let logits = try [output(found, 0), output(found, 1)]
        let expected = [1, places.texts.count]
        if let odd = logits.first(where: { $0.shape != expected }) {
            throw refused("expected start and end of shape \(expected), got \(odd.shape)")
        }
        let tokens = places.texts.indices.filter { places.texts[$0] == 1 }
        let row = PredictedRow(encoded)
        if tokens.isEmpty { return Answer(row: row, text: "", score: 0, start: 0, end: 0) }
        let scores = logits.map { output -> [Double] in
            let numbers = output.toDoubles()
            return softmax(tokens.map { numbers[$0] })
        }
        let best = bestSpan(starts: scores[0], ends: scores[1])
        let (start, end) = (places.starts[tokens[best.first]], places.ends[tokens[best.last]])
        let text = between(places.second ?? "", start, end)
        return Answer(row: row, text: text, score: best.score, start: start, end: end)
    }

    private func bestSpan(starts: [Double], ends: [Double]) -> (first: Int, last: Int, score: Double) {
        var best = (first: 0, last: 0, score: starts[0] * ends[0])
        for first in starts.indices {
            for last in first..<min(first + spec.longestAnswer, ends.count) {
                let score = starts[first] * ends[last]
                if score > best.score { best = (first, last, score) }
            }
        }
        return best
    }
}
