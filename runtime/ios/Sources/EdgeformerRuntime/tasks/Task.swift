/// What `Session.predict` gives for one row.
public protocol Prediction: Sendable, CustomStringConvertible {
    var row: PredictedRow { get }

    /// The keys of FORMAT.md that such a result has beside those of its row.
    var ownJson: [(key: String, value: Json)] { get }
}

/// Of a row what every prediction repeats. `tokens`: of a text, special ones included; nil for what isn't text.
/// `isTruncated`: a part was left out; `tokensCut` counts that of a text, nil where it isn't known. `notes`: what was
/// done to a sound before, a sentence each.
public struct PredictedRow: Sendable, Equatable {
    public let tokens: Int?
    public let isTruncated: Bool
    public let tokensCut: Int?
    public let notes: [String]

    init(_ encoded: Encoded) {
        tokens = encoded.tokens
        isTruncated = encoded.isTruncated
        tokensCut = encoded.tokensCut
        notes = encoded.notes
    }
}

extension Prediction {
    public var tokens: Int? { row.tokens }
    public var isTruncated: Bool { row.isTruncated }
    public var tokensCut: Int? { row.tokensCut }
    public var notes: [String] { row.notes }

    /// Plain JSON data, with the keys of FORMAT.md.
    public func toJson() -> Json {
        let common = [("tokens", Json(tokens)), ("truncated", .bool(isTruncated)), ("tokens_cut", Json(tokensCut))]
        return Json(common + ownJson)
    }

    public var description: String { jsonText(toJson()) }
}

extension Json {
    init(_ number: Int?) { self = number.map { .integer(Int64($0)) } ?? .null }

    init(_ number: Double?) { self = number.map { .number($0) } ?? .null }

    /// An object of `pairs`, each key of which occurs once.
    init(_ pairs: [(key: String, value: Json)]) {
        var object = OrderedMap<Json>()
        for (key, value) in pairs { _ = object.append(key, value) }
        self = .object(object)
    }
}

/// One task of one model (`Task` is Swift's own word for work). What doesn't fit it throws RuntimeBundleError.
protocol ModelTask: Sendable {
    var spec: TaskSpec { get }

    /// Names of the model's outputs, in its order.
    var outputs: [String] { get }

    /// The kinds of preprocessing that make a row's inputs.
    var kinds: [String] { get }

    /// Kinds of preprocessing of which it gives vectors, in the outputs' order.
    var embeds: [String] { get }

    /// The result of one row; `found`: {name: array [1, …]}.
    func predict(_ found: [String: Tensor], _ encoded: Encoded) throws -> any Prediction
}

extension ModelTask {
    var embeds: [String] { [] }

    func refused(_ problem: String) -> RuntimeBundleError {
        RuntimeBundleError("task \(spec.kind): \(problem)")
    }

    /// Throws where `spec` says what such a task doesn't have, or outputs are missing.
    func check(outputsNeeded: Int = 1, hasActivation: Bool = false) throws {
        if let activation = spec.activation, !hasActivation {
            throw refused("activation '\(activation)': expected none, such a task has no scores")
        }
        if outputs.count < outputsNeeded {
            throw refused("expected \(outputsNeeded) outputs, got \(outputs.count): the manifest doesn't fit the task")
        }
    }

    /// Output `index`; throws where it isn't there, or holds NaN or infinity.
    func output(_ found: [String: Tensor], _ index: Int) throws -> Tensor {
        let name = outputs[index]
        guard let tensor = found[name] else {
            let given = found.keys.sorted().joined(separator: ", ")
            throw refused("what ran gives \(given) and no \(name): compile the bundle again")
        }
        if tensor.dtype.isFloat, !tensor.toDoubles().allSatisfy(\.isFinite) {
            throw RuntimeBundleError("""
                output '\(name)' holds NaN or infinity: the variant doesn't work on this device, try another one
                """)
        }
        return tensor
    }

    /// The vector of an output [1, dimensions].
    func vector(_ output: Tensor) throws -> [Float] {
        let shape = output.shape
        if shape.count != 2 || shape[0] != 1 { throw refused("expected [1, dimensions], got \(shape)") }
        return output.toFloats()
    }

    /// The numbers of logits [1, …, labels] of so many `dimensions`, once it is sure that they have that shape.
    func labelled(_ logits: Tensor, dimensions: Int) throws -> [Double] {
        let (labels, shape) = (spec.labels.count, logits.shape)
        if labels == 0 || shape.count != dimensions || shape.last != labels || shape.first != 1 {
            throw refused("""
                \(labels) labels and \(dimensions) dimensions expected, got shape \(shape): compile the bundle again
                """)
        }
        return logits.toDoubles()
    }
}
