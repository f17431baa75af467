/// Words with one label: `start` and `end` (exclusive) count code points of the text, `score` is the words' mean.
public struct Entity: Sendable, Equatable {
    public let label: String
    public let score: Double
    public let start: Int
    public let end: Int
    public let text: String
}

/// The entities of a text, in its order.
public struct TokenClassification: Prediction {
    public let row: PredictedRow
    public let entities: [Entity]

    public var ownJson: [(key: String, value: Json)] {
        let found = entities.map { entity in
            Json([
                ("label", .string(entity.label)), ("score", .number(entity.score)), ("start", Json(entity.start)),
                ("end", Json(entity.end)), ("text", .string(entity.text)),
            ])
        }
        return [("entities", .list(found))]
    }
}

/// token-classification: logits [1, tokens, labels]. A word's label is that of its first token.
struct TokenClassificationTask: ModelTask {
    private struct Word {
        let token: Int
        let start: Int
        var end: Int
    }

    private struct Run {
        let label: String
        let start: Int
        var end: Int
        var scores: [Double]
    }

    let spec: TaskSpec
    let outputs: [String]
    let kinds = ["text"]

    init(_ spec: TaskSpec, _ outputs: [String]) throws {
        self.spec = spec
        self.outputs = outputs
        try check()
    }

    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction {
        let places = try encoded.places()
        let output = try output(found, 0)
        let logits = try labelled(output, dimensions: 3)
        if output.shape[1] != places.words.count {
            throw refused("expected logits of \(places.words.count) tokens, got shape \(output.shape)")
        }
        let entities = runs(of: words(places), logits).map { run -> Entity in
            let score = run.scores.reduce(0, +) / Double(run.scores.count)
            return Entity(
                label: run.label, score: score, start: run.start, end: run.end,
                text: between(places.first, run.start, run.end)
            )
        }
        return TokenClassification(row: PredictedRow(encoded), entities: entities)
    }

    private func runs(of words: [Word], _ logits: [Double]) -> [Run] {
        let labels = spec.labels.count
        var runs: [Run] = []
        var isOpen = false
        for word in words {
            let scores = softmax(Array(logits[word.token * labels..<(word.token + 1) * labels]))
            let best = indexOfBest(scores)
            let tag = spec.labels[best]
            let label = begins(tag, "B-") || begins(tag, "I-") ? String(tag.unicodeScalars.dropFirst(2)) : tag
            if tag == "O" {
                isOpen = false
            } else if isOpen && !begins(tag, "B-") && runs[runs.count - 1].label == label {
                runs[runs.count - 1].end = word.end
                runs[runs.count - 1].scores.append(scores[best])
            } else {
                runs.append(Run(label: label, start: word.start, end: word.end, scores: [scores[best]]))
                isOpen = true
            }
        }
        return runs
    }

    /// By code points; `hasPrefix` goes by characters, and a combining mark would hide the prefix.
    private func begins(_ tag: String, _ prefix: String) -> Bool {
        tag.unicodeScalars.starts(with: prefix.unicodeScalars)
    }

    private func words(_ places: TextPlaces) -> [Word] {
        var found: [Word] = []
        var previous: Int?
        for (token, word) in places.words.enumerated() {
            guard let word else { continue }
            if word == previous {
                found[found.count - 1].end = places.ends[token]
            } else {
                found.append(Word(token: token, start: places.starts[token], end: places.ends[token]))
            }
            previous = word
        }
        return found
    }
}
